"""The command ``subterfuge``: its commands, and how an error is said in one line."""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from subterfuge import __version__
from subterfuge.cli import (
    attack,
    audit,
    compare,
    corpus,
    defend,
    demo,
    explain,
    imagine,
    listen,
    predict,
    train,
    universal,
    victim,
)
from subterfuge.errors import SubterfugeError

USAGE = 2  # the input or the usage was wrong
INTERRUPTED = 130  # Ctrl-C, as shells have it
DEFECT = 70  # ours, with a traceback

app = typer.Typer(
    name="subterfuge", add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
)
app.command("demo", short_help="The whole job on an embedded clip and victim.")(demo.demo)
app.command("predict", short_help="What does the victim hear?")(predict.predict)
app.command("attack", short_help="Make the victim hear what you choose.")(attack.attack)
app.command("universal", short_help="One perturbation for many clips.")(universal.universal)
app.command("imagine", short_help="The sound that a class is made of.")(imagine.imagine)
app.command("explain", short_help="What in a clip decides?")(explain.explain)
app.command("compare", short_help="How audible is what differs between two files?")(compare.compare)
app.command("listen", short_help="Can anybody hear it? A test to give to listeners.")(listen.listen)
app.command("train", short_help="Fit a classifier on a corpus.")(train.train)
app.command("defend", short_help="A victim that is harder to fool.")(defend.defend)
app.command("audit", short_help="The whole examination of a victim.")(audit.audit)
app.add_typer(victim.app, name="victim")
app.add_typer(corpus.app, name="corpus")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"subterfuge {__version__}")
        raise typer.Exit()


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The smallest change that makes an audio classifier hear what you choose.

    \b
    Examples:
      subterfuge demo
      subterfuge predict flute.wav
      subterfuge attack flute.wav --to trumpet
      subterfuge COMMAND --help
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 some attack failed, 2 wrong input or usage, 130 Ctrl-C."""
    # Clips are small: a second thread gains little, and where other work keeps the cores busy, threads that
    # wait for each other make it all ten times slower. Whoever wants more says so in the environment.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run the command line; the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a file's name may hold what the terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    try:
        command = shlex.join(["subterfuge", *arguments])
        code = app(list(arguments), prog_name="subterfuge", standalone_mode=False, obj=command)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except SubterfugeError as error:
        return _complain(str(error), USAGE)
    except (KeyboardInterrupt, typer.Abort):
        return _complain("interrupted", INTERRUPTED)
    except BrokenPipeError:  # ``subterfuge predict ... | head``; nobody reads on, so nothing is to be said
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if hasattr(error, "format_message"):  # usage errors, whose class is typer's own affair
            return _complain(error.format_message(), USAGE)
        traceback.print_exc()
        return DEFECT


def _complain(sentence: str, code: int) -> int:
    line = " ".join(sentence.split()).rstrip(".")
    print(f"subterfuge: {line}", file=sys.stderr)
    return code
