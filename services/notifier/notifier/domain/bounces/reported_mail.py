"""Finds the deliveries that a bounce report is about. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from notifier.domain.bounces.recipient import ReportedRecipient
from notifier.domain.delivery import Delivery
from notifier.domain.message import smtp_address
from notifier.errors import UnmailableAddressError


@dataclass(frozen=True, slots=True)
class ReportedMail:
    """All deliveries with one Message-ID, oldest first: one for each item of a digest, and for each address in turn.

    `sent_for` is the delivery to whose envelope sender the report came; None if that is unknown.
    """

    deliveries: Sequence[Delivery]
    sent_for: UUID | None

    def went_to(self, reported: ReportedRecipient) -> bool:
        """Whether the mail was sent to this recipient."""
        return any(is_about(reported, delivery.email) for delivery in self.deliveries)

    def find(self, reported: ReportedRecipient) -> Sequence[Delivery]:
        """The deliveries to the reported address; if there is none, those to the last possible address."""
        named = [delivery for delivery in self.deliveries if is_about(reported, delivery.email)]
        possible = self._possible()
        return named or [delivery for delivery in possible if delivery.email == possible[-1].email]

    def find_possible(self, ticket_id: UUID) -> Sequence[Delivery]:
        """The deliveries of this ticket that the report may be about, whatever address it names."""
        return [delivery for delivery in self._possible() if delivery.ticket_id == ticket_id]

    def _possible(self) -> Sequence[Delivery]:
        exact = next((delivery for delivery in self.deliveries if delivery.id == self.sent_for), None)
        if exact is None:
            return self.deliveries
        return [delivery for delivery in self.deliveries if delivery.email == exact.email]


def is_about(reported: ReportedRecipient, email: str | None) -> bool:
    """Whether this address is reported. Servers write addresses in any case, and domains in ASCII or Unicode form."""
    return email is not None and _comparable(email) in map(_comparable, reported.addresses)


def _comparable(address: str) -> str:
    try:
        return smtp_address(address).casefold()
    except UnmailableAddressError:
        return address.casefold()
