"""The costs as a picture for the README: one small chart for each axis, in SVG, light or dark as the page is."""

import math
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

WIDTH, HEIGHT, GAP = 190, 150, 30
LEFT, TOP, BOTTOM = 40, 46, 26
NOTHING = 100  # where 0 stands on a logarithmic scale of events/s
INK = {
    "cpu_s_per_million": ("#c2410c", "CPU seconds per million events"),
    "cpu_percent": ("#c2410c", "% of a processor, by events/s"),
    "rss_mb": ("#1d4ed8", "peak memory, MB"),
}
STYLE = (
    "text{font:11px sans-serif;fill:#57606a}.h{font-weight:bold}@media(prefers-color-scheme:dark){text{fill:#9da7b3}}"
)


def draw(costs: list[dict[str, Any]], file: Path) -> None:
    """The figures of every axis, each from 0 to its own highest value; what is varied on a logarithmic scale."""
    axes = list(dict.fromkeys(c["axis"] for c in costs))
    tops = {f: max(c[f] for c in costs if c[f] is not None) for f in INK if any(c[f] is not None for c in costs)}
    parts = [
        f'<text x="{LEFT + i * 280}" y="14" style="fill:{INK[figure][0]}">— {escape(INK[figure][1])} '
        f"(up to {top:,.0f})</text>"
        for i, (figure, top) in enumerate(tops.items())
    ]
    for i, axis in enumerate(axes):
        parts += _chart([c for c in costs if c["axis"] == axis], axis, LEFT + i * (WIDTH + GAP), tops)
    size = LEFT + max(len(axes) * (WIDTH + GAP), len(tops) * 280), TOP + HEIGHT + BOTTOM
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]} {size[1]}" role="img">'
    title = f"<title>CPU and memory against {escape(', '.join(axes))}</title>"
    file.write_text("\n".join([head, title, f"<style>{STYLE}</style>", *parts, "</svg>"]) + "\n")


def _chart(points: list[dict[str, Any]], axis: str, left: int, tops: dict[str, float]) -> list[str]:
    values = [p["value"] or NOTHING for p in points]
    low, high = (math.log(f(values)) for f in (min, max))
    base = TOP + HEIGHT
    out = [
        f'<text class="h" x="{left}" y="{TOP - 10}">{escape(axis)}</text>',
        f'<path d="M{left} {base}h{WIDTH}" stroke="#8c959f" fill="none"/>',
    ]
    xs = [left + 8 + (WIDTH - 24) * (math.log(v) - low) / ((high - low) or 1) for v in values]
    out += [
        f'<text x="{x:.0f}" y="{base + 16}" text-anchor="middle">{_short(p["value"])}</text>'
        for x, p in zip(xs, points, strict=True)
    ]
    lines = {f: [base - HEIGHT * p[f] / tops[f] for p in points] for f in tops if points[0][f] is not None}
    for figure, ys in lines.items():
        ink = INK[figure][0]
        line = "L".join(f"{x:.1f} {y:.1f}" for x, y in zip(xs, ys, strict=True))
        out.append(f'<path d="M{line}" stroke="{ink}" stroke-width="2" fill="none"/>')
        for i, (x, y, p) in enumerate(zip(xs, ys, points, strict=True)):
            value = f"{p[figure]:,.0f}"
            higher = any((other[i], f) < (y, figure) for f, other in lines.items())
            at = y + 14 if higher and base - y > 16 else y - 6  # two numbers of one point do not overlap
            out.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{ink}"><title>{value}</title></circle>')
            out.append(f'<text x="{x:.1f}" y="{at:.1f}" text-anchor="middle" style="fill:{ink}">{value}</text>')
    return out


def _short(value: int) -> str:
    return f"{value // 1000}k" if value >= 10_000 else f"{value:,}"
