"""Reads what mail servers report about our mails: structured reports (RFC 3464) and plain text. Pure.

Anybody can write such a message, so as little of it as possible is used (docs/decisions/0040). Every step takes time
linear in the size of the message.

Read in this order:

1. `report` has `read_report`, which calls the others. `tocsin.mail` reads the headers and finds the parts.
2. `report_part` has the text of each part, `mail_server` tells reports from other messages, and `original_mail` finds
   the Message-ID of the mail.
3. `recipient` reads what happened to the mail for each recipient.
4. `reported_mail` finds the deliveries that the report is about.
"""

from notifier.domain.bounces.recipient import BounceAction, ReportedRecipient
from notifier.domain.bounces.report import BounceReport, MailSummary, read_report, summarise
from notifier.domain.bounces.reported_mail import ReportedMail, is_about

__all__ = [
    "BounceAction",
    "BounceReport",
    "MailSummary",
    "ReportedMail",
    "ReportedRecipient",
    "is_about",
    "read_report",
    "summarise",
]
