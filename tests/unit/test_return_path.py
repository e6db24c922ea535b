"""The envelope sender of each mail: `bounces+TOKEN@example.org`."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from notifier.domain.return_path import MAX_LOCAL_PART, ReturnPath
from notifier.settings import Settings
from pydantic import ValidationError
from support.notifier_world import REQUIRED

PATH = ReturnPath("bounces@example.org", "+", ["the key of today"])


@given(st.uuids(), st.sampled_from("+-=."))
def test_an_envelope_sender_names_its_delivery(delivery_id: UUID, delimiter: str) -> None:
    path = ReturnPath("bounces@example.org", delimiter, PATH.keys)
    sender = path.of(delivery_id)
    assert sender.startswith(f"bounces{delimiter}")
    assert len(sender.rpartition("@")[0]) <= MAX_LOCAL_PART
    assert path.find_delivery(["someone@example.com", sender.upper()]) == delivery_id


def test_a_new_key_signs_and_an_old_one_still_verifies() -> None:
    delivery_id = uuid4()
    after = ReturnPath(PATH.address, "+", ["the key of tomorrow", *PATH.keys])
    assert after.find_delivery([PATH.of(delivery_id)]) == delivery_id
    assert PATH.find_delivery([after.of(delivery_id)]) is None


@given(st.text(max_size=80))
def test_other_addresses_name_nothing(text: str) -> None:
    sender = PATH.of(uuid4())
    token = sender[8:40]
    forged = ("b" if token[-1] == "a" else "a").join((sender[:39], sender[40:]))
    others = [text, f"bounces+{text}@example.org", f"bounces+{'1' * 32}@example.org", "bounces@example.org"]
    changed = [forged, sender.replace("org", "com"), sender.replace("bounces+", "other+")]
    assert PATH.find_delivery([*changed, *others]) is None


@pytest.mark.parametrize("address", ["x" * 32 + "@example.org", "bounces", "zoë@example.org"])
def test_an_address_that_cannot_be_used_is_refused(address: str) -> None:
    with pytest.raises(ValidationError, match="bounce_address"):
        Settings(**REQUIRED, bounce_address=address)
