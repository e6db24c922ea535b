"""Finds the author of a mail: a customer, one of our staff, or unknown (docs/rules.md#6-24). Pure."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from tocsin.email_address import comparable_email
from tocsin.mail import EmailAddress

from intake.domain.mail import InboundMail, hidden_address, is_made_up, name_before_via, passes_dmarc, results_server
from intake.domain.webhooks.config.email import EmailConfig, EmailCustomer
from intake.domain.webhooks.config.integrations import MailIntegration
from intake.domain.words import fold_text


@dataclass(frozen=True, slots=True)
class TicketOwner:
    """The customer of a ticket, and the name and e-mail address of its contact, if there is one."""

    customer_id: str
    contact_email: str | None = None
    contact_name: str | None = None


@dataclass(frozen=True, slots=True)
class MailAuthor:
    """The author of a mail, with the customer, if known.

    `is_found`: False if a list of ours or a customer's replaced the author, and no header names the author; then
    `address` is the list's.
    `is_group`: the address is one of our mailboxes or lists, so that the name may be of somebody else.
    `is_authenticated`: the sender's address is not known to be forged.
    """

    address: EmailAddress
    customer: EmailCustomer | None = None
    is_found: bool = True
    is_group: bool = False
    is_authenticated: bool = True
    is_staff: bool = False
    is_it_contact: bool = False

    def is_contact(self, owner: TicketOwner) -> bool:
        """Whether this is the contact of the ticket: by the address, or by the name if no address was found."""
        if not self.is_authenticated:
            return False
        if self.is_found:
            return comparable_email(self.address.email) == comparable_email(owner.contact_email or "")
        return _is_same_name(self.address.name, owner.contact_name or "")

    def has_name_of_contact(self, owner: TicketOwner) -> bool:
        """Whether a mailbox or list of ours has the name of the ticket's contact, whom it replaced in From."""
        name = name_before_via(self.address.name) or self.address.name
        is_hidden = self.is_group and self.is_staff and not self.is_contact(owner)
        return is_hidden and _is_same_name(name, owner.contact_name or "")

    def belongs_to(self, owner: TicketOwner) -> bool:
        """Whether the author's mails may concern the ticket (docs/rules.md#6-16)."""
        is_known_here = self.is_staff or not self.is_found or self.is_contact(owner)
        return is_known_here or (self.customer is not None and self.customer.id == owner.customer_id)


def find_author(mail: InboundMail, integration: MailIntegration, mailboxes: Collection[str]) -> MailAuthor:
    """The author of a mail; `mailboxes` are the addresses of the two mailboxes, in lower case.

    An author that our mail server did not authenticate is unknown, and so is one that a list found to be forged.
    """
    config = integration.config
    if not _is_authenticated(mail, config.authserv):
        return MailAuthor(mail.sender, is_authenticated=False)
    search = _AuthorSearch(mail, config, mailboxes)
    address = search.author()
    if address is None:
        name = name_before_via(mail.sender.name) or mail.sender.name
        return MailAuthor(EmailAddress(name, mail.sender.email), is_found=False)
    is_replaced = address.email != mail.sender.email
    is_forged = not all(passes_dmarc(results, address.domain) for results in mail.origin.authentication)
    if is_replaced and config.authserv and is_forged:
        return MailAuthor(address, is_authenticated=False)
    customer = customer_of(address.email, integration)
    return MailAuthor(
        address,
        customer,
        is_group=search.is_group(address.email),
        is_staff=config.is_ours(address.email),
        is_it_contact=customer is not None and integration.it_contacts.include(customer.id, address.email),
    )


def customer_of(email: str, integration: MailIntegration) -> EmailCustomer | None:
    """The customer of an address: as its IT contact, by the address, or by its domain."""
    customers = integration.config.customers
    by_it_contact = (each for each in customers if integration.it_contacts.include(each.id, email))
    return next(by_it_contact, None) or integration.config.customer_of(email)


def _is_authenticated(mail: InboundMail, authserv: str | None) -> bool:
    """Whether the sender passed DMARC (docs/rules.md#6-20); without `authserv` every sender is trusted."""
    if authserv is None:
        return True
    # Only the first header with this name is of our own server: the sender may have written others.
    results = (header for header in mail.authentication if results_server(header) == authserv.lower())
    return passes_dmarc(next(results, ""), mail.sender.domain)


class _AuthorSearch:
    """The search for the author of a mail whose From a mailing list may have replaced."""

    def __init__(self, mail: InboundMail, config: EmailConfig, mailboxes: Collection[str]) -> None:
        self._mail, self._config, self._origin = mail, config, mail.origin
        self._mailboxes = frozenset(mailboxes)
        self._groups = self._mailboxes | mail.origin.list_addresses
        self._name = name_before_via(mail.sender.name)
        self._hidden = hidden_address(mail.sender)
        self._looks_replaced = bool(self._name or self._hidden) or self.is_group(mail.sender.email)

    def author(self) -> EmailAddress | None:
        """The author; None if a list replaced the author, and no header names the author."""
        sender, origin = self._mail.sender, self._origin
        if not self._is_ours(sender):
            return self._author_through_list_of_others() if origin.is_list else sender
        if origin.is_list or origin.originals or self._is_named_in_group():
            return self._author_through_our_list()
        replies = [*self._outside_replies(), *self._replies_to_customers()]
        return _first([*replies, *self._outside(self._weak_candidates())]) or sender

    def _author_through_our_list(self) -> EmailAddress | None:
        """The first address outside that a header names as the author, or else one of our own people.

        One of our own people counts only if the list itself or the name before "via" says so, because an author outside
        can write any Reply-To.
        """
        origin = self._origin
        named = [*origin.originals]
        if self._looks_replaced:
            named += [*self._namesakes(self._mail.recipients), *origin.replies_to, *self._weak_candidates()]
        if author := _first([*self._outside(named), *self._outside_replies()]):
            return self._with_name(author)
        if not self._looks_replaced:
            return self._mail.sender
        # A list that got the mail through another list names that list.
        by_list = [each for each in origin.originals if not (self._name and each.email in self._groups)]
        namesakes = self._namesakes([*origin.replies_to, *self._mail.recipients])
        return _first([each for each in (*by_list, *namesakes) if self._is_ours(each)])

    def _author_through_list_of_others(self) -> EmailAddress | None:
        """The author whom a list of somebody else names; never one of our own people.

        A customer's list can name only people of that customer. If our mail server checks senders (`authserv`), any
        other list can name nobody.
        """
        sender, origin = self._mail.sender, self._origin
        if not (self._name or self._hidden or sender.email in origin.list_addresses):
            return sender
        home = self._config.customer_of(sender.email)
        namesakes = self._namesakes(self._mail.recipients)
        found = self._outside([*origin.originals, *namesakes, *origin.replies_to, *self._weak_candidates()])
        if home is not None or self._config.authserv is not None:
            found = [each for each in found if home is not None and self._config.customer_of(each.email) == home]
        if found:
            return self._with_name(found[0])
        # Our own mail that comes back through a customer's list is not the customer's.
        return None if home is not None and any(map(self._is_ours, origin.originals)) else sender

    def _is_named_in_group(self) -> bool:
        """Whether From is `Ada via Support` in a mail to Support: some groups leave no header of a list.

        A help desk tool writes such a name too, but to the customer.
        """
        groups = {*self._mailboxes, self._mail.sender.email}
        return bool(self._name) and any(each.email in groups for each in self._mail.recipients)

    def _replies_to_customers(self) -> list[EmailAddress]:
        """The customers to whom replies to a mailbox or list of ours go: no tool asks for that."""
        replies = self._outside(self._origin.replies_to) if self._looks_replaced else []
        return [each for each in replies if self._config.customer_of(each.email)]

    def is_group(self, email: str) -> bool:
        """Whether the address is a mailbox, a list, or one that a list made up, as LISTSERV does."""
        own = {*self._groups, *self._mail.delivered_to, *(each.email for each in self._mail.recipients)}
        return email in own or is_made_up(email)

    def _outside_replies(self) -> list[EmailAddress]:
        """Outside addresses for replies to a mail of ours: it came from a web form, or was passed on to us.

        A mail of ours to somebody outside may have such an address too, for example that of a help desk tool.
        """
        replies = self._origin.replies_to
        return self._outside(self._namesakes(replies) if self._outside(self._mail.recipients) else replies)

    def _namesakes(self, addresses: Iterable[EmailAddress]) -> list[EmailAddress]:
        """The addresses with the name that the list put into From (`Ada via Support`)."""
        return [each for each in addresses if self._name and _is_same_name(each.name, self._name)]

    def _weak_candidates(self) -> list[EmailAddress]:
        """The author in the list's own address, and the addresses in Sender that belong to a customer."""
        known = [each for each in self._origin.senders if self._config.customer_of(each.email)]
        return [self._hidden, *known] if self._hidden else known

    def _outside(self, addresses: Iterable[EmailAddress]) -> list[EmailAddress]:
        return [each for each in addresses if not self._is_ours(each) and each.email not in self._groups]

    def _with_name(self, address: EmailAddress) -> EmailAddress:
        return address if address.name else EmailAddress(self._name, address.email)

    def _is_ours(self, address: EmailAddress) -> bool:
        return address.email in self._mailboxes or self._config.is_ours(address.email)


def _first(addresses: Sequence[EmailAddress]) -> EmailAddress | None:
    return addresses[0] if addresses else None


def _is_same_name(one: str, other: str) -> bool:
    """Whether two names have the same words, without case, accents and order (`Byron, Ada` and `Ada Byron`)."""
    words = [sorted(re.findall(r"\w+", fold_text(name))) for name in (one, other)]
    return bool(words[0]) and words[0] == words[1]
