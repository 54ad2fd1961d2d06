"""A plot of bars as an SVG file, which reads on light and on dark pages."""

from html import escape

_ROW_PX, _NAMES_PX, _BARS_PX, _FIGURES_PX = 28, 240, 420, 60
_OWN, _OTHER = "#2f6fb0", "#8a8f98"


def draw_bars(title: str, values: dict[str, float]) -> str:
    """Draw a bar for each value, the largest as long as there is room; names that begin with
    `this` stand out.
    """
    most = max(values.values())
    width, height = _NAMES_PX + _BARS_PX + _FIGURES_PX, _ROW_PX * (len(values) + 1)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'font-family="sans-serif" font-size="13" fill="{_OTHER}">',
        f"<title>{escape(title)}</title>",
        f'<text x="0" y="17" font-weight="bold">{escape(title)}</text>',
    ]
    for place, (name, value) in enumerate(values.items(), 1):
        top, length = place * _ROW_PX, max(1.0, _BARS_PX * value / most)
        colour = _OWN if name.startswith("this") else _OTHER
        lines += [
            f'<text x="{_NAMES_PX - 8}" y="{top + 17}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{_NAMES_PX}" y="{top + 4}" width="{length:.1f}" height="18" '
            f'fill="{colour}"/>',
            f'<text x="{_NAMES_PX + length + 6:.1f}" y="{top + 17}">{value:,.0f}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])
