"""Plots the ratios as bars in an SVG file."""

from collections.abc import Iterable
from dataclasses import dataclass

from tests.benchmarks.queries import STATES, State, compared
from tests.benchmarks.report import Results

_WIDTH, _LABEL_WIDTH, _BAR_WIDTH = 760, 130, 500
_TOP, _ROW, _BAR = 56, 34, 22
_FILL: dict[State, str] = {"uncached": "#4c78a8", "hot": "#e4572e"}


@dataclass(frozen=True, slots=True)
class Bar:
    """A ratio and its required minimum."""

    label: str
    fill: str
    ratio: float
    least: float


def plot(results: Results) -> str:
    bars = [
        Bar(f"{query.name} {state}", _FILL[state], results.ratio(query, state), query.goals[state].least)
        for state in STATES
        for query in compared()
    ]
    scale = _BAR_WIDTH / max(max(bar.ratio, bar.least) for bar in bars)
    rows = (line for number, bar in enumerate(bars) for line in _drawn(bar, _TOP + _ROW * number, scale))
    return "\n".join([*_frame(_TOP + _ROW * len(bars) + 16), *rows, "</svg>", ""])


def _frame(height: int) -> Iterable[str]:
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif">'
    yield f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>'
    yield '<text x="16" y="24" font-size="16">Requests per second, as a ratio to plain Strawberry</text>'
    yield '<text x="16" y="43" font-size="12" fill="#666">One core; the line is the least it must be.</text>'


def _drawn(bar: Bar, y: int, scale: float) -> Iterable[str]:
    length, mark, baseline = bar.ratio * scale, bar.least * scale, y + _BAR - 6
    text_at = _LABEL_WIDTH + max(length, mark) + 8
    yield f'<text x="16" y="{baseline}" font-size="14">{bar.label}</text>'
    yield f'<rect x="{_LABEL_WIDTH}" y="{y}" width="{length:.1f}" height="{_BAR}" fill="{bar.fill}"/>'
    yield f'<rect x="{_LABEL_WIDTH + mark:.1f}" y="{y - 3}" width="2" height="{_BAR + 6}" fill="#222"/>'
    yield f'<text x="{text_at:.1f}" y="{baseline}" font-size="14">{bar.ratio:.1f} x</text>'
