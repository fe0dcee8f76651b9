"""A real browser for the tests of pages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync", "--no-first-run"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium; what needs it is skipped where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    named = os.environ.get("SUBTERFUGE_CHROMIUM")
    found = (
        named or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    )
    if found is None:
        pytest.skip("no chromium found; install one or name it in SUBTERFUGE_CHROMIUM")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a page from disk with the network off; at the end, nothing was asked for and nothing went wrong.

    What follows the path goes to the browser's context; ``place`` is put after the address (``#part``).
    """
    contexts: list[Any] = []
    requests: list[str] = []
    trouble: list[str] = []

    def visit_(path: Path, *, place: str = "", **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        context.set_default_timeout(60_000)  # a busy machine is slow, not wrong
        context.set_offline(True)
        context.on("request", lambda request: requests.append(request.url))
        page = context.new_page()
        page.on("console", lambda m: trouble.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("dialog", lambda dialog: (trouble.append("dialog " + dialog.message), dialog.dismiss()))
        page.goto(path.as_uri() + place)
        return page

    yield visit_
    for context in contexts:
        context.close()
    own = [url for url in requests if not url.partition("#")[0].endswith(".html")]
    assert [url for url in own if not url.startswith("blob:")] == []
    assert trouble == []


@pytest.fixture
def open_page(visit: Callable[..., Any], folder: Path) -> Callable[..., Any]:
    """Open one of the pages in the test file's own ``folder`` (see ``visit``)."""
    return lambda name="index.html", **options: visit(folder / name, **options)
