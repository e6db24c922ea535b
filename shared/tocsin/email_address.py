"""Which texts are e-mail addresses that the system can send to. Pure.

The mail servers of private networks serve domains such as `acme.local`, so these are accepted everywhere.
"""

from functools import lru_cache
from typing import Final

import email_validator
from email_validator import EmailNotValidError, validate_email
from email_validator.syntax import validate_email_domain_name

MAX_EMAIL_LENGTH: Final = 254

for _private in ("local", "test"):
    email_validator.SPECIAL_USE_DOMAIN_NAMES.remove(_private)


def is_usable_email(text: str) -> bool:
    """Whether the text is one address, and nothing else, that mail can be sent to.

    International addresses are usable: a domain has an ASCII form, and the part before it needs a mail server that
    offers SMTPUTF8. Not usable are blanks, line breaks and control characters anywhere, quoted parts, and domains
    without a dot, such as `localhost`. No name is looked up.
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


def with_ascii_domain(email: str) -> str:
    """The address with its domain in ASCII form, as SMTP needs it; the part before it may need SMTPUTF8.

    Raises ValueError, which says what is wrong with the domain.
    """
    local, _, domain = email.rpartition("@")
    return f"{local}@{validate_email_domain_name(domain)['ascii_domain']}"


def comparable_email(email: str) -> str:
    """The form in which addresses are compared: in lower case, and with the domain in ASCII form if it has one."""
    lower = email.lower()
    if lower.isascii():
        return lower
    try:
        return with_ascii_domain(lower)
    except ValueError:
        return lower


def comparable_domain(domain: str) -> str:
    """The form in which domains are compared, as in `comparable_email`."""
    return comparable_email(f"@{domain}").removeprefix("@")
