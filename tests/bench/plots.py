"""Plain SVG charts without a library: bars for comparisons, lines for growth."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from bench.figures import readable

WIDTH: Final = 760
LABELS: Final = 190
BAR: Final = 22
STEP: Final = 32
TOP: Final = 46
OURS: Final = "#1f6feb"
THEIRS: Final = "#9aa4b2"
COLOURS: Final = (OURS, "#d1730f", "#2f9e63", "#8250df")
STYLE: Final = (
    "text{font:13px system-ui,sans-serif;fill:#24292f}.title{font-weight:600}.small{font-size:11px;fill:#57606a}"
    "line{stroke:#d0d7de}"
)


def bar_chart(title: str, unit: str, values: Mapping[str, float], *, logarithmic: bool = False) -> str:
    """One bar for each value; ours is the first. A logarithmic axis starts a decade below the least value."""
    low = math.log10(min(values.values())) - 1 if logarithmic else 0.0
    high = math.log10(max(values.values())) if logarithmic else max(values.values())
    room = WIDTH - LABELS - 110
    parts = []
    for number, (name, value) in enumerate(values.items()):
        length = room * ((math.log10(value) if logarithmic else value) - low) / ((high - low) or 1)
        y = TOP + STEP * number
        parts += [
            f'<text x="{LABELS - 10}" y="{y + 16}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{LABELS}" y="{y}" width="{max(1.0, length):.1f}" height="{BAR}" rx="3" '
            f'fill="{THEIRS if number else OURS}"/>',
            f'<text x="{LABELS + length + 8:.1f}" y="{y + 16}">{readable(value)} {escape(unit)}</text>',
        ]
    scale = "logarithmic scale" if logarithmic else ""
    return _svg(title, scale, TOP + STEP * len(values) + 10, parts)


def line_chart(title: str, unit: str, labels: Sequence[str], series: Mapping[str, Sequence[float]]) -> str:
    """One line for each series over equally spaced labels; the axis starts at zero."""
    height, left, right, bottom = 300, 70, 190, 40
    most = max(value for values in series.values() for value in values) * 1.1 or 1
    step = (WIDTH - left - right) / max(1, len(labels) - 1)

    def place(number: int, value: float) -> tuple[float, float]:
        return left + step * number, height - bottom - (height - bottom - TOP) * value / most

    parts = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        _, y = place(0, most * share)
        parts += [
            f'<line x1="{left}" x2="{WIDTH - right}" y1="{y:.1f}" y2="{y:.1f}"/>',
            f'<text class="small" x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{readable(most * share)}</text>',
        ]
    for number, label in enumerate(labels):
        x, _ = place(number, 0)
        parts.append(f'<text class="small" x="{x:.1f}" y="{height - 18}" text-anchor="middle">{escape(label)}</text>')
    for (name, values), colour in zip(series.items(), COLOURS, strict=False):
        points = [place(number, value) for number, value in enumerate(values)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in points]
        x, y = points[-1]
        parts.append(f'<text x="{x + 10:.1f}" y="{y + 4:.1f}">{escape(name)} {readable(values[-1])}</text>')
    return _svg(title, unit, height, parts)


def _svg(title: str, subtitle: str, height: int, parts: Sequence[str]) -> str:
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
            f"<title>{escape(title)}</title><style>{STYLE}</style>",
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
            f'<text class="title" x="12" y="24">{escape(title)}</text>',
            f'<text class="small" x="{WIDTH - 12}" y="24" text-anchor="end">{escape(subtitle)}</text>',
            *parts,
            "</svg>\n",
        )
    )
