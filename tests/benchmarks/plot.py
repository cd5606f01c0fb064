"""Plots the growth as an SVG file: for each axis a panel, with a line for each kind of request."""

import math
from collections.abc import Iterator, Sequence

from tests.benchmarks.growth import AXES, KINDS, Growth

_PANEL_WIDTH, _PANEL_HEIGHT, _MARGIN = 300, 170, 46
_COLOURS = {"uncached": "#4c78a8", "hot": "#e4572e"}
_TEXT = 'font-size="11" fill="#444"'


def plot(growths: Sequence[Growth]) -> str:
    width = len(growths) * (_PANEL_WIDTH + _MARGIN) + _MARGIN
    height = _PANEL_HEIGHT + 2 * _MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        '<text x="46" y="20" font-size="14">CPU of a request, as a ratio to the smallest size:'
        + "".join(f' <tspan fill="{_COLOURS[kind]}">{kind}</tspan>' for kind in KINDS)
        + "</text>",
    ]
    for number, growth in enumerate(growths):
        lines.extend(_panel(growth, _MARGIN + number * (_PANEL_WIDTH + _MARGIN)))
    return "\n".join([*lines, "</svg>", ""])


def _panel(growth: Growth, left: int) -> Iterator[str]:
    sizes = growth.sizes
    bottom = _MARGIN + _PANEL_HEIGHT
    highest = max(2.0, *growth.ratios.values())
    widest = math.log10(1 + sizes[-1]) or 1

    def x(size: int) -> float:
        return left + _PANEL_WIDTH * math.log10(1 + size) / widest

    def y(ratio: float) -> float:
        return bottom - _PANEL_HEIGHT * ratio / highest

    yield f'<text x="{left}" y="{bottom + 34}" font-size="12">{AXES[growth.axis].about}</text>'
    for ratio in dict.fromkeys((0.0, 1.0, highest)):
        yield f'<path d="M{left} {y(ratio):.1f}h{_PANEL_WIDTH}" stroke="#ddd"/>'
        yield f'<text x="{left - 4}" y="{y(ratio) + 4:.1f}" text-anchor="end" {_TEXT}>{ratio:.2g}</text>'
    for size in sizes:
        yield f'<text x="{x(size):.1f}" y="{bottom + 15}" text-anchor="middle" {_TEXT}>{size:,}</text>'
    for kind in KINDS:
        points = [(x(size), y(growth.ratios[size, kind])) for size in sizes]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        yield f'<polyline points="{path}" fill="none" stroke="{_COLOURS[kind]}" stroke-width="2"/>'
        for px, py in points:
            yield f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="{_COLOURS[kind]}"/>'
