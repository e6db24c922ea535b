"""Which texts are e-mail addresses that the system can send to. Pure."""

from functools import lru_cache
from typing import Final

from email_validator import EmailNotValidError, validate_email

MAX_EMAIL_LENGTH: Final = 254


def is_usable_email(text: str) -> bool:
    """Whether the text is one address, and nothing else, that mail can be sent to.

    International addresses are usable: a domain has an ASCII form, and the part before it needs a mail server that
    offers SMTPUTF8. Not usable are blanks, line breaks and control characters anywhere, quoted parts, and domains
    that no public mail server serves, such as `localhost` and `acme.local`. No name is looked up.
    """
    return len(text) <= MAX_EMAIL_LENGTH and _is_usable(text)


@lru_cache(maxsize=1024)  # a validation takes 50 microseconds, and the same people write again
def _is_usable(text: str) -> bool:
    if "=?" in text:  # an encoded word, which a mail reader may decode to anything
        return False
    try:
        validate_email(text, check_deliverability=False)
    except EmailNotValidError:
        return False
    return True
