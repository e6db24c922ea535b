"""Mails that a machine wrote (RFC 3834 and common headers). Pure."""

import re
from enum import StrEnum
from typing import Final, NamedTuple

from intake.domain.mail.outline import MessageOutline

_COMMENT: Final = re.compile(r"\([^()]*\)")


class IgnoredReason(StrEnum):
    """Why a mail is ignored: the kind of sign that a machine wrote it.

    auto_submitted: the header Auto-Submitted. own_mail: a mail of this system. empty_return_path: a bounce.
    report: a delivery status or another report. precedence: bulk, junk or auto_reply. autoresponder: another header of
    an automatic reply. mail_server: sent by a mail server's own address.
    """

    AUTO_SUBMITTED = "auto_submitted"
    OWN_MAIL = "own_mail"
    EMPTY_RETURN_PATH = "empty_return_path"
    REPORT = "report"
    PRECEDENCE = "precedence"
    AUTORESPONDER = "autoresponder"
    MAIL_SERVER = "mail_server"


class AutomaticSign(NamedTuple):
    """A sign that a machine wrote a mail, as people read it."""

    reason: IgnoredReason
    text: str


# docs/rules.md#6-15
def automatic_sign(message: MessageOutline) -> AutomaticSign | None:
    """The first sign that this is not the mail of a human, or None."""
    headers = message.headers
    submitted = _COMMENT.sub("", headers.first("Auto-Submitted")).partition(";")[0].strip().lower()
    if submitted not in ("", "no"):
        return AutomaticSign(IgnoredReason.AUTO_SUBMITTED, f"Auto-Submitted: {submitted[:40]}")
    if any(name.startswith("tocsin-") for name in headers.names()):
        return AutomaticSign(IgnoredReason.OWN_MAIL, "a mail of this system")
    if "return-path" in headers.names() and not headers.addresses("Return-Path"):
        return AutomaticSign(IgnoredReason.EMPTY_RETURN_PATH, "Return-Path: <>")
    if message.content.type in ("multipart/report", "message/delivery-status"):
        return AutomaticSign(IgnoredReason.REPORT, "a report")
    precedence = headers.first("Precedence").strip().lower()
    if precedence in ("bulk", "junk", "auto_reply"):
        return AutomaticSign(IgnoredReason.PRECEDENCE, f"Precedence: {precedence}")
    for name in ("X-Autoreply", "X-Autorespond", "X-Failed-Recipients"):
        if headers.first(name).strip().lower() not in ("", "none", "no"):
            return AutomaticSign(IgnoredReason.AUTORESPONDER, name)
    if any(found.email.startswith(("mailer-daemon@", "postmaster@")) for found in headers.addresses("From")[:1]):
        return AutomaticSign(IgnoredReason.MAIL_SERVER, "sent by a mail server")
    return None
