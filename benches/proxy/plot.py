"""The picture of the page: what each row adds, median and quartiles, on a logarithmic scale."""

import math
from html import escape

from .rows import BARE, DIRECT

LEFT, RIGHT, LINE, TOP, WIDTH = 330, 70, 22, 46, 900
LOWEST = 1.0  # µs; what adds less is drawn there
COLOURS = {"phiward": "#1f5fbf", "jwt_authn": "#c2571a", "ext_authz": "#8a3fa0"}
OTHERS = "#5b6470"


def svg(rows):
    """`rows`: `measured.Measured` by name."""
    drawn = [row for row in rows.values() if not row.name.startswith(BARE) and row.name != DIRECT]
    decades = max(1, math.ceil(math.log10(max(10.0, *(row.adds.high for row in drawn)))))
    height = TOP + LINE * len(drawn) + 40
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(LEFT, 20, "µs of processor time that a request takes more than without a filter; "
                        "median and quartiles", "middle"),
        *_grid(decades, height), *(line for place, row in enumerate(drawn)
                                   for line in _row(row, TOP + LINE * place + LINE / 2, decades)),
        "</svg>", ""])


def _grid(decades, height):
    for decade in range(decades + 1):
        for step in (1, 2, 5) if decade < decades else (1,):
            value = step * 10 ** decade
            x = _x(value, decades)
            colour = "#c9ced6" if step == 1 else "#eceff3"
            yield f'<line x1="{x:.1f}" y1="{TOP - 4}" x2="{x:.1f}" y2="{height - 30}" stroke="{colour}"/>'
            yield _text(x, height - 12, f"{value:,}", "middle", "#5b6470", 11)


def _row(row, y, decades):
    colour = next((known for name, known in COLOURS.items() if row.name.startswith(name)), OTHERS)
    low, middle, high = (_x(value, decades) for value in (row.adds.low, row.adds.middle, row.adds.high))
    yield _text(LEFT - 10, y + 4, row.name, "end")
    yield (f'<line x1="{low:.1f}" y1="{y}" x2="{high:.1f}" y2="{y}" stroke="{colour}" stroke-width="5" '
           'stroke-opacity="0.35"/>')
    yield f'<circle cx="{middle:.1f}" cy="{y}" r="5" fill="{colour}"/>'
    value = row.adds.middle
    yield _text(max(high, middle) + 10, y + 4, f"{value:.0f}" if abs(value) >= 10 else f"{value:.1f}",
                "start", "#5b6470", 11)


def _x(value, decades):
    return LEFT + (WIDTH - LEFT - RIGHT) * math.log10(max(value, LOWEST)) / decades


def _text(x, y, text, anchor, colour="#1b1f24", size=13):
    return (f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}" fill="{colour}" font-size="{size}">'
            f"{escape(text, quote=False)}</text>")
