"""Directories out of text."""

from tocsin.directory.model import Directory
from tocsin.yaml_document.reader import DocumentError, read


class DirectoryError(DocumentError):
    """The directory is refused; a line of the message for each thing that is wrong."""


def load_directory(text: str, name: str) -> Directory:
    """The directory written in the YAML `text`; `name` is what errors call it.

    Raises DirectoryError: `FILE:LINE: FIELD: what is wrong; what would be right`, one line an error.
    """
    return read(text, name, Directory, DirectoryError)
