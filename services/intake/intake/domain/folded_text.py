"""Text in the form in which words of mails are compared. Pure."""

import unicodedata


def fold_text(text: str) -> str:
    """The text without case and accents, with one space between words."""
    letters = (each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each))
    return " ".join("".join(letters).casefold().replace("\u2019", "'").split())
