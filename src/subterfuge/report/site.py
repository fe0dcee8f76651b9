"""What pages of measures are put together from: template, style, script and policy, written in one step."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from markupsafe import Markup

from subterfuge.files import make_folder, write_text
from subterfuge.report.colour import ink_on, shades

LEVELS = 21
BLUE, ORANGE = 265.0, 50.0  # hues of CIE LCh: the page's own two colours


def write_site(template: str, folder: Path, *, title: str, command: str, made: str, **content: Any) -> Path:
    """Render a page of measures and write it as ``folder/index.html``.

    Raises
    ------
    SubterfugeError
        If the folder cannot be written in.
    """
    text = render_site(
        template,
        styles=("page.css", "measured.css"),
        scripts=("common.js", "measured.js"),
        title=title,
        command=command,
        made=made,
        **content,
    )
    return write_text(make_folder(Path(folder)) / "index.html", text)


def render_site(
    template: str,
    *,
    styles: Sequence[str],
    scripts: Sequence[str],
    title: str,
    command: str,
    made: str,
    **content: Any,
) -> str:
    """Render a template as one page that needs nothing but a browser.

    A policy in the page itself forbids it to load anything from anywhere.

    Parameters
    ----------
    template : str
        File name among the templates; it uses ``head`` and ``foot`` of ``measured.html``.
    styles, scripts : sequence of str
        File names among the templates, in order; the pages' own shades of cells come last.
    title, command, made : str
        The heading; what to type to make the page again; by what it was made.
    **content
        For the template.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("subterfuge.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    script = "".join(map(_read, scripts))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    page = {
        "title": title,
        "command": command,
        "made": made,
        "style": Markup("".join(map(_read, styles)) + heat_style()),
        "script": Markup(script),
        "script_hash": digest,
    }
    return environment.get_template(template).render(p=page, **content).lstrip()


@cache
def heat_style() -> str:
    """Style of cells: ``h0`` to ``h20`` in blue, ``g0`` to ``g20`` in orange, their text legible on each."""
    names = [(family, n) for family in "hg" for n in range(LEVELS)]
    cells = "".join(f".{f}{n}{{background:var(--{f}{n});color:var(--{f}{n}t)}}" for f, n in names)
    dark = "@media screen{{{0}{{{1}}}}}"
    return "".join(
        [
            f":root{{{_variables(False)}}}",
            "@media screen and (prefers-color-scheme: dark){"
            f':root:not([data-theme="light"]){{{_variables(True)}}}}}',
            dark.format(':root[data-theme="dark"]', _variables(True)),
            cells,
        ]
    )


def level(share: float) -> int:
    """Which of the shades shows a share of 0 to 1; only nothing at all is left blank.

    Examples
    --------
    >>> level(0.0), level(0.01), level(0.5), level(1.0)
    (0, 1, 10, 20)
    """
    return 0 if share <= 0 else max(1, min(LEVELS - 1, round(share * (LEVELS - 1))))


def _variables(dark: bool) -> str:
    out = []
    for family, hue in (("h", BLUE), ("g", ORANGE)):
        for n, rgb in enumerate(shades(LEVELS, hue, dark=dark)):
            code = "".join(f"{int(c):02x}" for c in rgb)
            out.append(f"--{family}{n}:#{code};--{family}{n}t:{ink_on(rgb)}")
    return ";".join(out)


def _read(name: str) -> str:
    return (resources.files("subterfuge.report") / "templates" / name).read_text("utf-8")
