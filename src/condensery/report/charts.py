"""Charts as SVG that takes its colors from the page, so that they are readable in the dark too.

They are small and few, and matplotlib's files would each bring colors and fonts of their own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

__all__ = ["Bar", "bars", "lines"]

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 640, 260, 62, 44
_LETTER = 7  # the usual width of a letter of a name


@dataclass(frozen=True)
class Bar:
    """A bar: its name, its length, and half the width of its interval (None: no interval)."""

    name: str
    value: float
    half_width: float | None = None


def bars(title: str, of: Sequence[Bar], unit: str, most: float | None = None) -> str:
    """Horizontal bars with intervals.

    Arguments:
        title: what the chart shows, for those who do not see it.
        of: the bars, from top to bottom.
        unit: label of the axis.
        most: the largest possible value, at which intervals end, as they do at 0. None: there is none.
    """
    left, row = min(max([190, *(8 + _LETTER * len(bar.name) for bar in of)]), _WIDTH // 2), 34
    height = row * len(of) + _BOTTOM
    limit = float("inf") if most is None else most
    ends = [min(bar.value + (bar.half_width or 0), limit) for bar in of]
    ticks = _ticks(0, max([*ends, 1e-9]))
    scale = (_WIDTH - left - 70) / ticks[-1]
    parts = [_open(title, height)]
    for tick in ticks:
        x = left + tick * scale
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="{height - _BOTTOM + 4}"/>')
        parts.append(_text(x, height - _BOTTOM + 20, _said(tick), "middle"))
    parts.append(_text(left + ticks[-1] * scale / 2, height - 6, unit, "middle"))
    for i, bar in enumerate(of):
        y, end = 6 + i * row, left + bar.value * scale
        parts.append(_text(left - 8, y + 17, bar.name, "end"))
        parts.append(f'<rect class="bar" x="{left}" y="{y}" width="{bar.value * scale:.1f}" height="{row - 10}"/>')
        if bar.half_width is not None:
            low = left + max(bar.value - bar.half_width, 0) * scale
            high = left + min(bar.value + bar.half_width, limit) * scale
            middle = y + (row - 10) / 2
            parts.append(f'<path class="interval" d="M{low:.1f} {middle}H{high:.1f}M{low:.1f} {middle - 5}v10'
                         f'M{high:.1f} {middle - 5}v10"/>')  # fmt: skip
            end = high
        parts.append(_text(end + 6, y + 17, f"{bar.value:.1f}", "start"))
    return "".join([*parts, "</svg>"])


def lines(title: str, of: Mapping[str, Sequence[tuple[float, float]]], x: str, y: str) -> str:
    """Curves with a legend.

    Arguments:
        title: what the chart shows, for those who do not see it.
        of: the points of every curve by its name; the horizontal numbers increase.
        x, y: labels of the axes.
    """
    points = [point for curve in of.values() for point in curve]
    across, up = (_ticks(min(values), max(values)) for values in zip(*points, strict=True))

    def place(point: tuple[float, float]) -> tuple[float, float]:
        width, height = _WIDTH - _LEFT - 16, _HEIGHT - _BOTTOM - 26
        return (
            _LEFT + width * (point[0] - across[0]) / (across[-1] - across[0]),
            _HEIGHT - _BOTTOM - height * (point[1] - up[0]) / (up[-1] - up[0]),
        )

    parts = [_open(title, _HEIGHT)]
    for tick in across:
        at, _ = place((tick, up[0]))
        parts.append(_text(at, _HEIGHT - _BOTTOM + 18, _said(tick), "middle"))
    for tick in up:
        _, at = place((across[0], tick))
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - 16}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(_text(_LEFT - 6, at + 4, _said(tick), "end"))
    parts.append(_text((_WIDTH + _LEFT) / 2, _HEIGHT - 8, x, "middle"))
    parts.append(_text(_LEFT, 12, y, "start"))
    for number, (name, curve) in enumerate(of.items()):
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in map(place, curve))
        parts.append(f'<polyline class="curve c{number % 6}" points="{path}"/>')
        if len(curve) <= 12:
            parts += [f'<circle class="c{number % 6}" cx="{a:.1f}" cy="{b:.1f}" r="3"/>' for a, b in map(place, curve)]
        if len(of) > 1:
            parts.append(
                f'<rect class="key c{number % 6}" x="{_WIDTH - 180}" y="{16 + 18 * number}" width="12" height="12"/>'
            )
            parts.append(_text(_WIDTH - 162, 26 + 18 * number, name, "start"))
    return "".join([*parts, "</svg>"])


def _open(title: str, height: int) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}">'


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _ticks(low: float, high: float) -> list[float]:
    """Four to nine round numbers, from one that is at most `low` to one that is at least `high`."""
    if not high > low:
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
    rough = (high - low) / 5
    power = 10 ** floor(log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    return [i * step for i in range(floor(low / step + 1e-9), ceil(high / step - 1e-9) + 1)]


def _said(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}"
