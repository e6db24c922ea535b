"""The HTML of a mail by its styles: readable in light and dark mode, and on a phone."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from itertools import chain

import pytest
from notifier.domain.template_context import Redelivery
from support.mail_samples import SAMPLES
from support.notifier_mails import compose

PHONE = "max-width: 480px"
DARK = "prefers-color-scheme: dark"
NARROW = 320
READABLE = 4.5  # WCAG 2.1, level AA
DIM = 0.2
STANDING_OUT = {"h1", "a"}  # in the dark too: the headline's colour shows the severity, the button's where to press

Styles = dict[str, str]


@dataclass(frozen=True)
class Element:
    tag: str
    classes: frozenset[str]
    styles: Styles


class Page(HTMLParser):
    """The texts of a page, each as the path of elements around it, the outermost first."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.meta: dict[str, str] = {}
        self.texts: list[tuple[Element, ...]] = []
        self.css = ""
        self._path: list[Element] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "meta":
            self.meta[given.get("name", "")] = given.get("content", "")
        elif tag != "br":
            self._path.append(Element(tag, frozenset(given.get("class", "").split()), styles(given.get("style", ""))))

    def handle_endtag(self, tag: str) -> None:
        assert self._path.pop().tag == tag

    def handle_data(self, data: str) -> None:
        within = {element.tag for element in self._path}
        if "style" in within:
            self.css += data
        elif data.strip() and "head" not in within:
            self.texts.append(tuple(self._path))

    def styled(self, condition: str | None) -> Iterator[tuple[Element, ...]]:
        """Each text's path with the styles that apply under this media query."""
        rules = dict(media(self.css)).get(condition or "", [])
        for path in self.texts:
            yield tuple(
                Element(element.tag, element.classes, element.styles | overriding(rules, path[: depth + 1]))
                for depth, element in enumerate(path)
            )


def styles(text: str) -> Styles:
    found = {}
    for name, _, value in (declaration.partition(":") for declaration in text.split(";") if declaration.strip()):
        name, value = name.strip(), value.replace("!important", "").strip()
        if name.startswith("border") and "#" in value:
            found["border-color"] = value[value.index("#") :]
        found[name] = value
    return found


def media(css: str) -> Iterator[tuple[str, list[tuple[list[str], Styles]]]]:
    """The rules by media query. All must be `!important`, otherwise the elements' own styles win."""
    for condition, block in re.findall(r"@media \((.*?)\) \{\n(.*?)\n\}", css, re.DOTALL):
        rules = re.findall(r"(.+?) \{ (.+?) \}", block)
        assert all(body.count("!important;") == body.count(";") for _, body in rules)
        yield condition, [(selectors.strip().split(", "), styles(body)) for selectors, body in rules]


def overriding(rules: list[tuple[list[str], Styles]], path: tuple[Element, ...]) -> Styles:
    matching = [declared for selectors, declared in rules if any(selects(selector, path) for selector in selectors)]
    return dict(chain.from_iterable(declared.items() for declared in matching))


def selects(selector: str, path: tuple[Element, ...]) -> bool:
    """`.class` or `.class tag`."""
    name, _, tag = selector.removeprefix(".").partition(" ")
    around = path[:-1] if tag else path[-1:]
    return any(name in element.classes for element in around) and tag in ("", path[-1].tag)


def innermost(path: tuple[Element, ...], style: str) -> str:
    return next(element.styles[style] for element in reversed(path) if style in element.styles)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(ink: str, paper: str) -> float:
    darker, lighter = sorted((luminance(ink), luminance(paper)))
    return (lighter + 0.05) / (darker + 0.05)


def side_width(element: Element) -> float:
    """The pixels of an element's padding and border beside its content."""
    around = [float(part.removesuffix("px")) for part in element.styles.get("padding", "0").split()]
    right, left = around[min(1, len(around) - 1)], around[-1 if len(around) in (1, 2, 4) else 1]
    right = float(element.styles.get("padding-right", f"{right}px").removesuffix("px"))
    return left + right + (2 if "border" in element.styles else 0)


def page(kind: str, severity: int = 1) -> Page:
    sample = SAMPLES[kind]
    notification = sample.notification.model_copy(update={"severity": severity})
    again = Redelivery("a.key", sample.now, 1)
    mail = compose(notification, *sample.earlier, reader=sample.reader, now=sample.now, late=True, redelivery=again)
    return Page(mail.html)


@pytest.mark.parametrize("scheme", [None, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("kind", "severity"), [*((kind, 1) for kind in SAMPLES), *(("escalation", n) for n in (2, 3, 4))]
)
def test_every_word_is_readable_in_light_and_dark_mode(kind: str, severity: int, scheme: str | None) -> None:
    found = page(kind, severity)
    assert found.meta["color-scheme"] == "light dark"
    for path in found.styled(scheme):
        assert contrast(innermost(path, "color"), innermost(path, "background")) >= READABLE, path[-1]


@pytest.mark.parametrize("kind", SAMPLES)
def test_nothing_is_bright_in_dark_mode(kind: str) -> None:
    for path in page(kind).styled(DARK):
        for element in path if path[-1].tag not in STANDING_OUT else path[:-2]:
            for style in ("background", "border-color"):
                assert luminance(element.styles.get(style, "#000000")) < DIM, element


@pytest.mark.parametrize("kind", SAMPLES)
def test_on_a_phone_the_text_is_wide_enough_and_the_button_fills_the_width(kind: str) -> None:
    found = page(kind)
    assert found.meta["viewport"] == "width=device-width, initial-scale=1"
    paths = list(found.styled(PHONE))
    label = next(path[-1] for path in paths if "label" in path[-1].classes)
    label_column = float(label.styles["width"].removesuffix("px")) + side_width(label)
    for path in paths:
        cell = path[-1]
        if "value" in cell.classes:
            assert NARROW - label_column - sum(map(side_width, path)) >= 0.6 * NARROW
        if cell.tag == "a":
            button = next(element for element in path if "button" in element.classes)
            assert (button.styles["width"], cell.styles["display"]) == ("100%", "block")
        if cell.classes & {"value", "faint", "note"}:
            assert cell.styles.get("overflow-wrap") == "anywhere", "a long word makes the page wider than the screen"
