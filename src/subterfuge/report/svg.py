"""SVG written by hand: elements whose attributes and texts are escaped, and the frame of a chart."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

from subterfuge.report.scales import Axis

# In the drawing's own units, which are about CSS pixels on a phone: a text of 11 is never too small.
WIDTH, TOP, RIGHT, BOTTOM = 340.0, 24.0, 14.0, 40.0
_CHARACTER = 6.0  # about as wide as a digit of a tick


def tag(name: str, *inner: str | Markup, **attributes: object) -> Markup:
    """One element; ``class_`` is class, an underscore in a name a hyphen, numbers get at most 2 decimals.

    Examples
    --------
    >>> tag("text", "a < b", class_="tick", x=1.0, text_anchor="end")
    Markup('<text class="tick" x="1" text-anchor="end">a &lt; b</text>')
    """
    pairs = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _value(value))
        for key, value in attributes.items()
    )
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), pairs, Markup("").join(map(escape, inner)))


class Frame:
    """A plot's place in a drawing: it turns values to coordinates and draws axes around what is in it.

    Parameters
    ----------
    x, y : Axis
    height : float
        Of the whole drawing.
    top, bottom : float
        Room for the vertical axis's label above, and for the horizontal one's ticks and label below.
    """

    def __init__(
        self, x: Axis, y: Axis, *, height: float = 230.0, top: float = TOP, bottom: float = BOTTOM
    ) -> None:
        self.x_axis, self.y_axis = x, y
        self.left = 10 + _CHARACTER * max((len(text) for _, text in y.ticks), default=1)
        self.right, self.top, self.bottom = WIDTH - RIGHT, top, height - bottom

    def x(self, value: float) -> float:
        """Horizontal coordinate of a value."""
        return self.left + (self.right - self.left) * self.x_axis.at(value)

    def y(self, value: float) -> float:
        """Vertical coordinate of a value."""
        return self.bottom - (self.bottom - self.top) * self.y_axis.at(value)

    def line(self, points: Sequence[tuple[float, float]], **attributes: object) -> Markup:
        """A line through values; ``attributes`` as for :func:`tag`."""
        path = " ".join(f"{_value(self.x(a))},{_value(self.y(b))}" for a, b in points)
        return tag("polyline", points=path, fill="none", **attributes)

    def axes(self) -> list[Markup]:
        """Grid, ticks and labels, to be drawn first."""
        parts = []
        for value, text in self.y_axis.ticks:
            y = self.y(value)
            parts.append(tag("line", class_="grid", x1=self.left, x2=self.right, y1=y, y2=y))
            parts.append(tag("text", text, class_="tick", x=self.left - 5, y=y + 3.5, text_anchor="end"))
        parts.append(tag("line", class_="base", x1=self.left, x2=self.right, y1=self.bottom, y2=self.bottom))
        ends = 0.0
        for value, text in self.x_axis.ticks:
            x, half = self.x(value), _CHARACTER * len(text) / 2
            parts.append(tag("line", class_="base", x1=x, x2=x, y1=self.bottom, y2=self.bottom + 3))
            # One that would run into the last one written, or out of the drawing, keeps its mark only.
            at = min(x, WIDTH - half)
            if at - half >= ends:
                parts.append(tag("text", text, class_="tick", x=at, y=self.bottom + 15, text_anchor="middle"))
                ends = at + half + 4
        middle = (self.left + self.right) / 2
        parts.append(tag("text", self.y_axis.label, class_="axis-label", x=0, y=self.top - 11))
        parts.append(
            tag(
                "text",
                self.x_axis.label,
                class_="axis-label",
                x=middle,
                y=self.bottom + 32,
                text_anchor="middle",
            )
        )
        return parts


def drawing(parts: Sequence[Markup], *, height: float, says: str) -> Markup:
    """A whole drawing, with what it shows in words for those who do not see it."""
    return tag(
        "svg",
        *parts,
        class_="chart",
        viewBox=f"0 0 {WIDTH:g} {height:g}",
        role="img",
        aria_label=says,
    )


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".") if abs(value) >= 0.005 else "0"
    return str(value)
