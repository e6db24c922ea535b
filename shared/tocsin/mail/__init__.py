"""Reading mails of strangers (RFC 5322, MIME), however broken they are, in time linear in their size. Pure.

Read in this order:

1. `outline` has `read_outline`, which finds the parts of a mail.
2. `headers` and `content_headers` read the headers of the mail and of each part. `addresses`, `message_ids` and
   `encoded_words` are the syntax of single headers.
3. `transfer_encoding` and `charsets` decode the content of a part.

What a mail means is decided by the services: see `intake.domain.mail` and `notifier.domain.bounces`.
"""

from tocsin.mail.addresses import tokenize
from tocsin.mail.charsets import decode_text
from tocsin.mail.content_headers import ContentHeaders
from tocsin.mail.errors import UnreadableMailError
from tocsin.mail.headers import MAX_NAME_LENGTH, MAX_RECIPIENTS_LENGTH, EmailAddress, MailHeaders
from tocsin.mail.message_ids import find_message_ids
from tocsin.mail.outline import MAX_PARTS, MessageOutline, MimePart, read_outline
from tocsin.mail.transfer_encoding import split_uuencoded

__all__ = [
    "MAX_NAME_LENGTH",
    "MAX_PARTS",
    "MAX_RECIPIENTS_LENGTH",
    "ContentHeaders",
    "EmailAddress",
    "MailHeaders",
    "MessageOutline",
    "MimePart",
    "UnreadableMailError",
    "decode_text",
    "find_message_ids",
    "read_outline",
    "split_uuencoded",
    "tokenize",
]
