"""The README and the pages in docs/: their Python runs, their commands parse, their links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from subterfuge.attacks.registry import ATTACKS
from subterfuge.cli.main import app

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/*.md")])


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), flags=re.S | re.M)


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name)
def test_python_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {"__name__": "__main__"}
    for number, block in enumerate(blocks(page, "python"), 1):
        exec(compile(block, f"{name(page)}, block {number}", "exec"), scope)
    if page.name == "README.md":
        record, outcome = scope["record"], scope["outcome"]
        assert record.success and record.predicted_after == "tru" and Path(record.output).is_file()
        assert bool(outcome.success.all())


def commands() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        for block in blocks(page, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                if line.startswith("subterfuge "):
                    found.append((name(page), line))
    return found


@pytest.mark.parametrize(("page", "line"), commands())
def test_commands_parse(page, line):
    words = shlex.split(line, comments=True)[1:]
    command = typer.main.get_command(app)
    context = command.make_context("subterfuge", words, resilient_parsing=True)
    while hasattr(command, "commands"):
        word, *words = words
        assert word in command.commands, f"{page}: no such command in {line!r}"
        command = command.commands[word]
        context = typer.Context(command, parent=context)
    assert command.make_context(command.name, words, parent=context).params


def test_there_are_commands_to_parse():
    assert len(commands()) > 10


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    # Pages under docs/benchmarks are made by the benchmarks themselves.
    text = page.read_text("utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"", text):
        target, _, anchor = (link[0] or link[1]).partition("#")
        if target.startswith("http") or "benchmarks/" in target:
            continue
        path = (page.parent / target) if target else page
        assert path.exists(), f"{name(page)} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), flags=re.M)
            slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, f"{name(page)} links to {target}#{anchor}"


def test_every_attack_is_explained():
    page = (ROOT / "docs" / "attacks.md").read_text("utf-8")
    help_text = typer.main.get_command(app).commands["attack"].help  # type: ignore[attr-defined]
    for attack in ATTACKS:
        assert f"`{attack}`" in page
        assert re.search(rf"(?<![\w-]){attack}(?![\w-])", help_text)
