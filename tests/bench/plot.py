"""The costs as a picture for the README: one small chart for each axis, in SVG, light or dark as the page is."""

import math
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

WIDTH, HEIGHT, GAP = 190, 150, 30
LEFT, TOP, BOTTOM = 40, 46, 26
INK = {"cpu_s_per_million": ("#c2410c", "CPU seconds per million events"), "rss_mb": ("#1d4ed8", "peak memory, MB")}
STYLE = (
    "text{font:11px sans-serif;fill:#57606a}.h{font-weight:bold}@media(prefers-color-scheme:dark){text{fill:#9da7b3}}"
)


def draw(costs: list[dict[str, Any]], file: Path) -> None:
    """Both figures of every axis, each from 0 to its own highest value; what is varied on a logarithmic scale."""
    axes = list(dict.fromkeys(c["axis"] for c in costs))
    tops = {figure: max(c[figure] for c in costs) for figure in INK}
    parts = [
        f'<text x="{LEFT + i * 280}" y="14" style="fill:{ink}">— {escape(name)} (up to {tops[figure]:,.0f})</text>'
        for i, (figure, (ink, name)) in enumerate(INK.items())
    ]
    for i, axis in enumerate(axes):
        parts += _chart([c for c in costs if c["axis"] == axis], axis, LEFT + i * (WIDTH + GAP), tops)
    size = LEFT + len(axes) * (WIDTH + GAP), TOP + HEIGHT + BOTTOM
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]} {size[1]}" role="img">'
    title = "<title>CPU and memory against moments, segments, partitions, workers and events</title>"
    file.write_text("\n".join([head, title, f"<style>{STYLE}</style>", *parts, "</svg>"]) + "\n")


def _chart(points: list[dict[str, Any]], axis: str, left: int, tops: dict[str, float]) -> list[str]:
    low, high = (math.log(f(p["value"] for p in points)) for f in (min, max))
    base = TOP + HEIGHT
    out = [
        f'<text class="h" x="{left}" y="{TOP - 10}">{escape(axis)}</text>',
        f'<path d="M{left} {base}h{WIDTH}" stroke="#8c959f" fill="none"/>',
    ]
    xs = [left + 8 + (WIDTH - 24) * (math.log(p["value"]) - low) / ((high - low) or 1) for p in points]
    out += [
        f'<text x="{x:.0f}" y="{base + 16}" text-anchor="middle">{p["value"]:,}</text>'
        for x, p in zip(xs, points, strict=True)
    ]
    for figure, (ink, _) in INK.items():
        ys = [base - HEIGHT * p[figure] / tops[figure] for p in points]
        line = "L".join(f"{x:.1f} {y:.1f}" for x, y in zip(xs, ys, strict=True))
        out.append(f'<path d="M{line}" stroke="{ink}" stroke-width="2" fill="none"/>')
        for x, y, p in zip(xs, ys, points, strict=True):
            value = f"{p[figure]:,.0f}"
            out.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{ink}"><title>{value}</title></circle>')
            out.append(f'<text x="{x:.1f}" y="{y - 6:.1f}" text-anchor="middle">{value}</text>')
    return out
