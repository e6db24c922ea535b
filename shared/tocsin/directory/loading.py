"""Directories out of text."""

from tocsin.directory.model import Directory
from tocsin.yaml_document import DocumentError, load_document


class DirectoryError(DocumentError):
    """The directory is refused; a line of the message for each thing that is wrong."""


def load_directory(text: str, name: str) -> Directory:
    """The directory written in the YAML `text`; `name` is what errors call it.

    Raises DirectoryError: `FILE:LINE: FIELD: what is wrong; what would be right`, one line an error.
    """
    return load_document(text, name, Directory, DirectoryError)
