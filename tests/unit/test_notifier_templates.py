"""Templates of a deployment: any of them, tried before the first mail, and never in the way of one."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from notifier.domain.template_samples import rehearse
from notifier.domain.templating import BUILT_IN, TemplateFailed, Templates
from notifier.settings import Settings
from prometheus_client import REGISTRY
from pydantic import ValidationError
from structlog.testing import capture_logs
from support.notifier_events import about_clock, escalation, stand_down, ticket
from support.notifier_mails import OURS, letters, mailed

WORDS = (Path(__file__).parents[2] / "services/notifier/notifier/templates/words.j2").read_text()
IN_GERMAN = WORDS.replace("Stand down: {{ m.ended }}", "Entwarnung: {{ m.ended }}")


def line_of(words: str) -> int:
    return next(number for number, line in enumerate(WORDS.splitlines(), 1) if words in line)


def fallbacks() -> float:
    return REGISTRY.get_sample_value("sla_mail_template_fallbacks_total") or 0


NEXT = "m.next_ago }}, unless the ticket is"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "mail"


def own(folder: Path, files: Mapping[str, str]) -> Templates:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return Templates(folder)


def test_ours_can_write_every_mail() -> None:
    rehearse(BUILT_IN)


def test_one_file_is_replaced_and_the_others_stay(folder: Path) -> None:
    templates = own(folder, {"words.j2": IN_GERMAN})
    rehearse(templates)
    by = letters(templates)
    assert mailed(stand_down(), by=by).text.splitlines()[0] == "Entwarnung: resolved"
    assert "Entwarnung: resolved</h1>" in mailed(stand_down(), by=by).html
    assert mailed(escalation(), by=by).text == mailed(escalation(), by=OURS).text


def test_ours_can_be_extended_with_files_of_ones_own(folder: Path) -> None:
    page = '{% extends "built-in/mail.html.j2" %}{% block origin %}{% include "_foot.html.j2" %}{% endblock %}'
    templates = own(folder, {"mail.html.j2": page, "_foot.html.j2": "<p>{{ letter.headline }}, Example Ltd</p>"})
    rehearse(templates)
    html = mailed(stand_down(ticket(summary="<b>")), by=letters(templates)).html
    assert "<p>Stand down: resolved, Example Ltd</p>" in html
    assert "Ticket id" not in html
    assert "SR-1042: &lt;b&gt;" in html


def test_a_file_of_ones_own_is_escaped_unless_it_is_named_as_text(folder: Path) -> None:
    shown = "{{ letter.groups[0][0][1][0] }}"
    page = '{% extends "built-in/mail.html.j2" %}{% block origin %}{% include "_part.j2" %}{% endblock %}'
    files = {"mail.html.j2": page, "_part.j2": shown, "_part.txt.j2": shown}
    files["mail.txt.j2"] = '{% include "_part.txt.j2" %}'
    mail = mailed(stand_down(ticket(summary="<b>&")), by=letters(own(folder, files)))
    assert "<b>" not in mail.html
    assert mail.text == "SR-1042: <b>&"


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"mail.txt.j2": "a\n{% if %}"}, "mail.txt.j2, line 2: Expected an expression"),
        (
            {"mail.html.j2": "a\nb\n{{ letter.headlin }}"},
            "mail.html.j2, line 3: 'dict object' has no attribute 'headlin'",
        ),
        (
            {"words.j2": WORDS.replace(NEXT, NEXT.replace("ago", "agoo"))},
            f"words.j2, line {line_of(NEXT)}: 'dict object' has no attribute 'next_agoo'",
        ),
        ({"words.j2": WORDS.replace("macro headline", "macro head")}, "words.j2 has no macro `headline`"),
        ({"mail.txt.j2": "{{ 1 // 0 }}"}, "mail.txt.j2, line 1: integer division or modulo by zero"),
        ({"mail.txt.j2": "{% include 'x' %}"}, "mail.txt.j2, line 1: x"),
        ({"mail.txt.j2": " "}, "a mail without a subject, a text or a page"),
        ({"mail.txt.j2": "{{ 'x' * 200000 }}"}, "a mail of more than 100,000 octets"),
        ({"mail.htm.j2": "a"}, "mail.htm.j2 is no template of a mail; those are words.j2, mail.txt.j2, mail.html.j2"),
        ({"_unused.j2": "a\n{% endif %}"}, "_unused.j2, line 2: Encountered unknown tag 'endif'"),
    ],
)
def test_what_would_fail_at_night_stops_the_start(folder: Path, files: Mapping[str, str], problem: str) -> None:
    with pytest.raises(TemplateFailed) as failed:
        rehearse(own(folder, files))
    assert problem in str(failed.value)
    given = {
        "database_url": "postgresql+asyncpg://u@h/d",
        "kafka": "h:9",
        "keys": "k",
        "directory": "d",
        "smtp": "127.0.0.1:25",
    }
    given |= {"mail_from": "a@example.com", "public_url": "https://sla.example.com", "ack_keys": "k" * 32}
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate({**given, "mail_templates": folder})
    (told,) = refused.value.errors()
    assert (told["loc"], problem in told["msg"]) == (("mail_templates",), True)


def test_one_that_fails_only_at_night_gives_way_to_ours(folder: Path) -> None:
    tricky = WORDS.replace("{{ m.customer }}: {{ m.summary }}", "{{ m.customer }}: {{ {'Mail is up': 1}[m.summary] }}")
    by = letters(own(folder, {"words.j2": tricky}))
    counted = fallbacks()
    with capture_logs() as logs:
        mail = mailed(about_clock("warning"), by=by)
    assert (mail.subject, mail.text) == (mailed(about_clock("warning")).subject, mailed(about_clock("warning")).text)
    assert fallbacks() == counted + 1
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("mail_template_failed", "error")
    assert f"words.j2, line {line_of('}}: {{ m.summary')}:" in line["problem"]


@pytest.mark.parametrize("name", ["words.j2", "mail.txt.j2", "mail.html.j2"])
def test_what_is_edited_after_the_start_counts_from_the_next_one_on(folder: Path, name: str) -> None:
    by = letters(own(folder, {"mail.txt.j2": "{% include '_part.txt.j2' %}", "_part.txt.j2": "Tocsin"}))
    for edited in (name, "_part.txt.j2"):
        (folder / edited).write_text("broken {{ nothing }}")
    counted = fallbacks()
    assert mailed(stand_down(), by=by).text == "Tocsin"
    assert fallbacks() == counted
    assert "broken" not in mailed(escalation(), by=by).html


def test_words_of_a_template_are_no_way_into_the_headers(folder: Path) -> None:
    evil = WORDS.replace("Tocsin: stand down", "=?utf-8?q?a=0D=0ABcc=3A_x?=\nBcc: x@evil.example")
    mail = mailed(stand_down(), by=letters(own(folder, {"words.j2": evil})))
    assert b"\nBcc" not in mail.raw
    assert mail.recipient == "dana@example.com"
