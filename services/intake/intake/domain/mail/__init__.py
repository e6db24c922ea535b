"""What a mail says, in the fields that intake needs. Pure.

Read in this order:

1. `message` has `read_mail`, which calls the others. `tocsin.mail` reads the headers and finds the parts.
2. `content` chooses the parts that are the text, `html_text` decodes HTML, and `own_text` ends the text where another
   mail is quoted.
3. `automatic` finds the signs of a machine, `automatic_subjects` those in a subject, `origin` the traces of a mailing
   list, `authentication` what mail servers say about the sender, and `copies` what tells copies of a mail from other
   mails with its Message-ID.

Who wrote the mail is decided in `intake.domain.mail_author`; `received_mail` adds that and the mailbox to the mail, and
`mail_rules` derives its effect.
"""

from intake.domain.mail.authentication import passes_dmarc, results_server
from intake.domain.mail.automatic import AutomaticSign, IgnoredReason
from intake.domain.mail.content import MAX_TEXT_LENGTH
from intake.domain.mail.copies import ContentDigests
from intake.domain.mail.message import (
    MAX_MAIL_BYTES,
    MAX_SUBJECT_LENGTH,
    InboundMail,
    read_mail,
    reference_of,
)
from intake.domain.mail.origin import MailOrigin, hidden_address, is_made_up, name_before_via
from intake.domain.mail.own_text import own_text

__all__ = [
    "MAX_MAIL_BYTES",
    "MAX_SUBJECT_LENGTH",
    "MAX_TEXT_LENGTH",
    "AutomaticSign",
    "ContentDigests",
    "IgnoredReason",
    "InboundMail",
    "MailOrigin",
    "hidden_address",
    "is_made_up",
    "name_before_via",
    "own_text",
    "passes_dmarc",
    "read_mail",
    "reference_of",
    "results_server",
]
