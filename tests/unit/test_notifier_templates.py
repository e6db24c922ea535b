"""A deployment's own templates: checked before the first mail, and never in the way of one."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from notifier.commands.app import app
from notifier.domain.rendering import TEMPLATES, MailTemplates
from notifier.domain.template_check import check_templates
from notifier.service import build
from notifier.settings import Settings
from notifier.sources.mail_templates import built_in_templates, load_templates
from structlog.testing import capture_logs
from support.metrics import counter_value
from support.notifier_events import about_clock, escalation, stand_down, ticket
from support.notifier_mails import compose, make_composer
from support.notifier_world import REQUIRED
from tocsin.runtime.errors import ConfigurationError
from typer.testing import CliRunner

FOLDER = Path(__file__).parents[2] / "services/notifier/notifier/templates"
BUILT_IN = {name: (FOLDER / name).read_text() for name in TEMPLATES}
WORDS = BUILT_IN["words.j2"]
IN_GERMAN = WORDS.replace("Stand down: {{ m.ended }}", "Entwarnung: {{ m.ended }}")


def line_of(words: str) -> int:
    return next(number for number, line in enumerate(WORDS.splitlines(), 1) if words in line)


def fallbacks() -> float:
    return counter_value("sla_mail_template_fallbacks_total")


NEXT = "m.next_ago }}, unless the ticket is"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "mail"


def write(folder: Path, files: Mapping[str, str]) -> MailTemplates:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return load_templates(folder)


def test_the_built_in_templates_render_every_mail() -> None:
    check_templates(built_in_templates())


def test_the_check_evaluates_every_expression_of_the_built_in_templates() -> None:
    expressions: list[tuple[str, str]] = []
    evaluated: set[int] = set()

    def record(number: int) -> bool:
        evaluated.add(number)
        return True

    def instrument(name: str, text: str) -> str:
        def with_record(found: re.Match[str]) -> str:
            expressions.append((name, found[2]))
            return f"{found[1]} record({len(expressions) - 1}) and ({found[2]}) {found[3]}"

        return re.sub(r"(\{\{-?|\{%-? (?:if|elif) )\s*(.*?)\s*(-?\}\}|-?%\})", with_record, text)

    templates = MailTemplates({name: instrument(name, text) for name, text in BUILT_IN.items()})
    templates._environment.globals["record"] = record
    check_templates(templates)
    assert len(expressions) > 100
    assert [expressions[number] for number in range(len(expressions)) if number not in evaluated] == []


def test_one_file_is_replaced_and_the_others_stay_built_in(folder: Path) -> None:
    templates = write(folder, {"words.j2": IN_GERMAN})
    check_templates(templates)
    by = make_composer(templates)
    assert compose(stand_down(), by=by).text.splitlines()[0] == "Entwarnung: resolved"
    assert "Entwarnung: resolved</h1>" in compose(stand_down(), by=by).html
    assert compose(escalation(), by=by).text == compose(escalation()).text


def test_the_built_in_templates_can_be_extended(folder: Path) -> None:
    page = '{% extends "built-in/mail.html.j2" %}{% block origin %}{% include "_foot.html.j2" %}{% endblock %}'
    templates = write(folder, {"mail.html.j2": page, "_foot.html.j2": "<p>{{ content.headline }}, Example Ltd</p>"})
    check_templates(templates)
    html = compose(stand_down(ticket(summary="<b>")), by=make_composer(templates)).html
    assert "<p>Stand down: resolved, Example Ltd</p>" in html
    assert "Ticket id" not in html
    assert "SR-1042: &lt;b&gt;" in html


def test_partial_templates_are_escaped_unless_named_as_text(folder: Path) -> None:
    summary = "{{ content.groups[0][0][1][0] }}"
    page = '{% extends "built-in/mail.html.j2" %}{% block origin %}{% include "_part.j2" %}{% endblock %}'
    files = {"mail.html.j2": page, "_part.j2": summary, "_part.txt.j2": summary}
    files["mail.txt.j2"] = '{% include "_part.txt.j2" %}'
    mail = compose(stand_down(ticket(summary="<b>&")), by=make_composer(write(folder, files)))
    assert "<b>" not in mail.html
    assert mail.text == "SR-1042: <b>&"


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"mail.txt.j2": "a\n{% if %}"}, "mail.txt.j2, line 2: Expected an expression"),
        (
            {"mail.html.j2": "a\nb\n{{ content.headlin }}"},
            "mail.html.j2, line 3: 'dict object' has no attribute 'headlin'",
        ),
        (
            {"words.j2": WORDS.replace(NEXT, NEXT.replace("ago", "agoo"))},
            f"words.j2, line {line_of(NEXT)}: 'dict object' has no attribute 'next_agoo'",
        ),
        ({"words.j2": WORDS.replace("macro headline", "macro head")}, "words.j2 has no macro `headline`"),
        ({"mail.txt.j2": "{{ 1 // 0 }}"}, "mail.txt.j2, line 1: integer division or modulo by zero"),
        ({"mail.txt.j2": "{% include 'x' %}"}, "mail.txt.j2, line 1: x"),
        ({"mail.txt.j2": " "}, "a mail has no subject, no text or no HTML"),
        ({"mail.txt.j2": "{{ 'x' * 200000 }}"}, "the mail is longer than 100,000 bytes"),
        ({"mail.htm.j2": "a"}, "mail.htm.j2 is not a mail template; those are words.j2, mail.txt.j2, mail.html.j2"),
        ({"_unused.j2": "a\n{% endif %}"}, "_unused.j2, line 2: Encountered unknown tag 'endif'"),
    ],
)
def test_a_broken_template_stops_the_start(folder: Path, files: Mapping[str, str], problem: str) -> None:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    with pytest.raises(ConfigurationError) as failed:
        build(Settings.model_validate({**REQUIRED, "mail_templates": folder}))
    assert str(failed.value).startswith("TOCSIN_MAIL_TEMPLATES: ")
    assert problem in str(failed.value)
    done = CliRunner().invoke(app, ["check-templates", str(folder)])
    assert (done.exit_code, done.stderr) == (1, f"{failed.value}\n")


def test_good_templates_pass_the_check(folder: Path) -> None:
    write(folder, {"words.j2": IN_GERMAN})
    for arguments, environment in (([str(folder)], {}), ([], {"TOCSIN_MAIL_TEMPLATES": str(folder)})):
        done = CliRunner().invoke(app, ["check-templates", *arguments], env=environment)
        assert (done.exit_code, done.stdout) == (0, f"{folder}: every kind of mail renders.\n")


def test_a_template_that_fails_for_one_mail_gives_way_to_the_built_in_one(folder: Path) -> None:
    tricky = WORDS.replace("{{ m.customer }}: {{ m.summary }}", "{{ m.customer }}: {{ {'Mail is up': 1}[m.summary] }}")
    by = make_composer(write(folder, {"words.j2": tricky}))
    counted = fallbacks()
    with capture_logs() as logs:
        mail = compose(about_clock("warning"), by=by)
    assert (mail.subject, mail.text) == (compose(about_clock("warning")).subject, compose(about_clock("warning")).text)
    assert fallbacks() == counted + 1
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("mail_template_failed", "error")
    assert f"words.j2, line {line_of('}}: {{ m.summary')}:" in line["problem"]


@pytest.mark.parametrize("name", ["words.j2", "mail.txt.j2", "mail.html.j2"])
def test_edits_take_effect_at_the_next_start(folder: Path, name: str) -> None:
    by = make_composer(write(folder, {"mail.txt.j2": "{% include '_part.txt.j2' %}", "_part.txt.j2": "Tocsin"}))
    for edited in (name, "_part.txt.j2"):
        (folder / edited).write_text("broken {{ nothing }}")
    counted = fallbacks()
    assert compose(stand_down(), by=by).text == "Tocsin"
    assert fallbacks() == counted
    assert "broken" not in compose(escalation(), by=by).html


def test_a_template_cannot_inject_headers(folder: Path) -> None:
    evil = WORDS.replace("Tocsin: stand down", "=?utf-8?q?a=0D=0ABcc=3A_x?=\nBcc: x@evil.example")
    mail = compose(stand_down(), by=make_composer(write(folder, {"words.j2": evil})))
    assert b"\nBcc" not in mail.raw
    assert mail.recipient == "dana@example.com"
