"""docs/mail.md shows mails as they are: their text, their headers, a picture of each kind."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from notifier.domain.rendering import write
from notifier.domain.template_context import Redelivery
from notifier.domain.template_samples import kinds, telling
from notifier.domain.templating import BUILT_IN, TEMPLATES
from support.mail_pictures import MADE_OF, made_of
from support.notifier_mails import NEW_YORK, letters, mailed, parse

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "mail.md").read_text()


def test_the_text_of_the_escalation_is_the_one_that_is_sent() -> None:
    letter = write(replace(telling(kinds()["escalation"]), zone=NEW_YORK), BUILT_IN)
    assert "".join(f"    {line}\n" if line else "\n" for line in letter.text.splitlines()) in PAGE


@pytest.mark.parametrize("kind", kinds())
def test_there_is_a_picture_of_each_kind_on_each_screen(kind: str) -> None:
    for screen in ("desktop", "phone"):
        assert f"](mail/{kind}-{screen}.png)" in PAGE
        picture = (DOCS / "mail" / f"{kind}-{screen}.png").read_bytes()
        assert picture.startswith(b"\x89PNG")
        assert len(picture) < 120_000


def test_the_pictures_were_made_of_the_pages_as_they_are() -> None:
    assert MADE_OF.read_text() == made_of(), "`make mail-pictures` makes them anew"


def test_the_table_lists_every_header_and_no_other() -> None:
    table = PAGE.partition("## Headers")[2].partition("\n##")[0]
    listed = {
        name.partition(":")[0]
        for row in re.findall(r"^\| (`.*?) \|", table, re.M)
        for name in re.findall("`(.*?)`", row)
    }
    sent = set()
    for sample in kinds().values():
        again = Redelivery("key", sample.now, 1)
        by = letters(reply_to="desk@example.com")
        mail = mailed(sample.notice, reader=sample.reader, now=sample.now, late=True, redelivery=again, by=by)
        sent |= set(parse(mail).keys())
    assert listed == sent


def test_the_page_names_every_template() -> None:
    assert [name for name in TEMPLATES if f"`{name}`" not in PAGE] == []
