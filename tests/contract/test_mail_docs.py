"""docs/mail.md shows the text, the headers and a picture of the mails as they are."""

import re
from pathlib import Path

import pytest
from notifier.domain.rendering import TEMPLATES, RenderedMail
from notifier.domain.template_context import Redelivery
from support.mail_pictures import DIGESTS, render_digests
from support.mail_samples import SAMPLES, render_digest_sample
from support.notifier_mails import NEW_YORK, compose, make_composer, parse

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "mail.md").read_text()


@pytest.mark.parametrize("mail", [SAMPLES["escalation"].render(NEW_YORK), render_digest_sample(NEW_YORK)])
def test_the_text_of_a_mail_is_current(mail: RenderedMail) -> None:
    text = mail.text
    assert "".join(f"    {line}\n" if line else "\n" for line in text.splitlines()) in PAGE


@pytest.mark.parametrize("kind", [*SAMPLES, "digest"])
def test_there_is_a_picture_of_each_kind_on_each_screen(kind: str) -> None:
    for screen in ("desktop", "phone"):
        assert f"](mail/{kind}-{screen}.png)" in PAGE
        picture = (DOCS / "mail" / f"{kind}-{screen}.png").read_bytes()
        assert picture.startswith(b"\x89PNG")
        assert len(picture) < 120_000


def test_the_pictures_are_current() -> None:
    assert DIGESTS.read_text() == render_digests(), "`make pictures` renders them again"


def test_the_table_lists_every_header_and_no_other() -> None:
    table = PAGE.partition("## Headers")[2].partition("\n##")[0]
    listed = {
        name.partition(":")[0]
        for row in re.findall(r"^\| (`.*?) \|", table, re.M)
        for name in re.findall("`(.*?)`", row)
    }
    sent = set()
    by = make_composer(reply_to="desk@example.com")
    for sample in SAMPLES.values():
        for again in (None, Redelivery("key", sample.now, 1)):
            mail = compose(
                sample.notification, by=by, reader=sample.reader, now=sample.now, late=True, redelivery=again
            )
            sent |= set(parse(mail).keys())
    assert listed == sent


def test_the_page_names_every_template() -> None:
    assert [name for name in TEMPLATES if f"`{name}`" not in PAGE] == []
