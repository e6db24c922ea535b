"""Reading mails (RFC 5322). Pure.

Read in this order:

1. `message` has `read_mail`, which calls the others.
2. `outline` finds the parts of a mail, `headers` and `content_headers` read the headers of each; `addresses`,
   `message_ids` and `encoded_words` are the syntax of single headers.
3. `content` chooses the parts that are the text; `transfer_encoding`, `charsets` and `html_text` decode it, and
   `own_text` ends it where another mail is quoted.
4. `automatic` finds the signs of a machine, `automatic_subjects` those in a subject, `origin` the traces of a mailing
   list, and `copies` what tells copies of a mail from other mails with its Message-ID.

Who wrote the mail is decided in `intake.domain.mail_author`; `received_mail` adds that and the mailbox to the mail, and
`mail_rules` derives its effect.
"""

from intake.domain.mail.automatic import AutomaticSign, IgnoredReason
from intake.domain.mail.content import MAX_TEXT_LENGTH
from intake.domain.mail.copies import ContentDigests
from intake.domain.mail.headers import EmailAddress
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
    "EmailAddress",
    "IgnoredReason",
    "InboundMail",
    "MailOrigin",
    "hidden_address",
    "is_made_up",
    "name_before_via",
    "own_text",
    "read_mail",
    "reference_of",
]
