"""Results of listening tests: read, and checked against the plan that the page drew.

A result is one JSON object, saved by the page at the end of a session::

    kind        "subterfuge-abx"
    schema      1
    version     of subterfuge, that made the page
    title       of the page
    page        16 hex digits: hash of the pairs, the number of trials and the seed
    material    16 hex digits: hash of the pairs alone; results of one material are pooled
    seed        of the page
    planned     trials that count, 8 to 32 (the controls come on top)
    pairs       list of {id, name}: 16 hex digits, the hash of all samples played; and what it is called
    listener    {number, name}: drawn by the browser, 0 to 2**32 - 1; and a name, which may be empty
    session     how many sessions of this page were begun in that browser, this one included
    began, ended   ISO 8601, UTC
    trials      list, in order, of {kind, pair, x, answer, right, milliseconds, switches}:
                kind "pair", "identical" or "audible"; pair an index into pairs; x and answer "A" or "B";
                right whether they agree; the time from the trial's appearing to the answer; how often
                the listener turned to another of the three sounds
    result      {right, total, p_value, low, high} of the trials that count
    check       16 hex digits over the answers: it finds slips of an editor, it is no signature
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from subterfuge.audibility.listening import (
    SCHEMA,
    Score,
    Trial,
    material_id,
    mixed,
    page_id,
    plan,
    score,
)
from subterfuge.errors import SubterfugeError
from subterfuge.files import why

KIND = "subterfuge-abx"
_LARGEST = 4_000_000  # bytes: a result has some ten thousand


@dataclass(frozen=True)
class Answer:
    """One trial as it went.

    Attributes
    ----------
    trial : Trial
    answer : str
        ``A`` or ``B``: what the listener took X for.
    milliseconds : int
        From the trial's appearing to the answer.
    switches : int
        How often the listener turned to another of A, B and X.
    """

    trial: Trial
    answer: str
    milliseconds: int
    switches: int

    @property
    def right(self) -> bool:
        """Whether the answer is what X is."""
        return self.answer == self.trial.x


@dataclass(frozen=True)
class Session:
    """One listener's whole session, as read from a file and found to agree with itself.

    Attributes
    ----------
    path : Path
        The file.
    title, page, material : str
        The page's title and hashes.
    listener : int
        The number drawn for this session.
    name : str
        As the listener gave it; the file's name where none was given.
    pairs : tuple of (str, str)
        Hash and name of each pair.
    answers : tuple of Answer
    """

    path: Path
    title: str
    page: str
    material: str
    listener: int
    name: str
    pairs: tuple[tuple[str, str], ...]
    answers: tuple[Answer, ...]

    def score(self, kind: str = "pair") -> Score:
        """Right answers among the trials of one kind."""
        given = [answer for answer in self.answers if answer.trial.kind == kind]
        return score(sum(answer.right for answer in given), len(given))

    @property
    def awake(self) -> bool:
        """Whether every plainly audible control was answered rightly."""
        heard = self.score("audible")
        return heard.right == heard.total

    @property
    def seconds(self) -> float:
        """The median time that an answer took."""
        times = sorted(answer.milliseconds for answer in self.answers)
        return (times[len(times) // 2] + times[(len(times) - 1) // 2]) / 2000


def read_session(path: str | Path) -> Session:
    """Read a result that the page saved; the plan is drawn again and must be what the file says.

    Raises
    ------
    SubterfugeError
        If it cannot be read, is no such result, is of a newer schema, is not whole, or contradicts itself.
    """
    path = Path(path)
    data = _json(path)
    if not isinstance(data, dict) or data.get("kind") != KIND:
        raise SubterfugeError(f"{path}: is not a listener's result, expected the JSON that the page saved")
    if data.get("schema") != SCHEMA:
        raise SubterfugeError(f"{path}: is of schema {data.get('schema')!r}, expected {SCHEMA}")
    try:
        return _session(path, data)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, SubterfugeError):
            raise
        what = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise SubterfugeError(f"{path}: is not a whole result ({what})") from None


def seal(page: str, listener: int, answers: Sequence[tuple[str, str, int, int]]) -> str:
    """A checksum over a session: x, answer, milliseconds and switches of each trial; as the page has it."""
    text = f"{page}|{listener}" + "".join(f"|{x}{given}{ms},{n}" for x, given, ms, n in answers)
    a, b = 1, 2
    for letter in text.encode("ascii", "replace"):
        a, b = mixed(a ^ letter), mixed(b + letter)
    return f"{a:08x}{b:08x}"


def _json(path: Path) -> Any:
    try:
        if path.stat().st_size > _LARGEST:
            raise SubterfugeError(f"{path}: is too large for a listener's result")
        return json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SubterfugeError(f"{path}: cannot be read ({why(error)})") from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, SubterfugeError):
            raise
        raise SubterfugeError(f"{path}: is not JSON, expected the result that the page saved") from None


def _session(path: Path, data: dict[str, Any]) -> Session:
    pairs = tuple((str(pair["id"]), str(pair["name"])) for pair in data["pairs"])
    trials, seed, listener = _whole(data["planned"]), _whole(data["seed"]), _whole(data["listener"]["number"])
    name = " ".join(str(data["listener"].get("name") or "").split())[:60]
    answers = tuple(
        Answer(
            Trial(one["kind"], _whole(one["pair"]), one["x"]),
            one["answer"],
            _whole(one["milliseconds"]),
            _whole(one["switches"]),
        )
        for one in data["trials"]
    )
    ids = [one for one, _ in pairs]
    if data["page"] != page_id(ids, trials=trials, seed=seed) or data["material"] != material_id(ids):
        raise _contradicts(path, "its pairs, trials and seed are not those of the page that it names")
    drawn = plan(trials=trials, pairs=len(pairs), seed=seed, listener=listener)
    if len(answers) != len(drawn):
        raise SubterfugeError(f"{path}: is not whole ({len(answers)} of {len(drawn)} trials answered)")
    if [answer.trial for answer in answers] != drawn:
        raise _contradicts(path, "its trials are not those that its seed and listener's number give")
    if any(answer.answer not in ("A", "B") for answer in answers):
        raise _contradicts(path, "an answer is neither A nor B")
    if any(one["right"] is not answer.right for one, answer in zip(data["trials"], answers, strict=True)):
        raise _contradicts(path, "an answer is called right that is wrong, or wrong that is right")
    given = [(one.trial.x, one.answer, one.milliseconds, one.switches) for one in answers]
    if data["check"] != seal(data["page"], listener, given):
        raise _contradicts(path, "its checksum does not fit its answers")
    session = Session(
        path, str(data["title"]), data["page"], data["material"], listener, name or path.stem, pairs, answers
    )
    for key, value in session.score().as_json().items():
        if not math.isclose(float(data["result"][key]), value, rel_tol=1e-6, abs_tol=1e-9):
            raise _contradicts(path, f"its result's {key} is not what its answers come to")
    return session


def _contradicts(path: Path, how: str) -> SubterfugeError:
    return SubterfugeError(f"{path}: contradicts itself: {how}; expected the file as the page saved it")


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no whole number")
    return value
