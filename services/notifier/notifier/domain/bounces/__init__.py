"""Reads what mail servers report about our mails: structured reports (RFC 3464) and plain text. Pure.

Anybody can write such a message, so as little as possible of it is read (docs/decisions/0040). Every step takes time
linear in the size of the message.
"""

from notifier.domain.bounces.recipient import BounceAction, ReportedRecipient
from notifier.domain.bounces.report import BounceReport, MailSummary, read_report, summarise

__all__ = ["BounceAction", "BounceReport", "MailSummary", "ReportedRecipient", "read_report", "summarise"]
