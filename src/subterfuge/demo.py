"""The demonstration: an embedded clip, an embedded victim, and what it is to hear instead."""

from __future__ import annotations

from pathlib import Path

from subterfuge.attacks.registry import DEFAULT
from subterfuge.criteria import Targeted
from subterfuge.errors import SubterfugeError
from subterfuge.files import make_folder
from subterfuge.runs import Run, load_on

VICTIM = "orchestra-svc"
# Clip by its name, and what it is to be heard as. One pair: the whole of it takes less than a minute.
PAIRS = (("flu-1", "tru"),)


def demo_run(out: str | Path, *, seed: int = 0) -> Run:
    """The run that ``subterfuge demo`` carries out.

    Parameters
    ----------
    out : str or Path
        Folder for the results, made if need be.
    seed : int

    Raises
    ------
    SubterfugeError
        If the folder cannot be written in, or the package was installed without its data.
    """
    from subterfuge.corpora.embedded import clips

    paths = {clip.path.stem: clip.path for clip in clips()}
    for name, _ in PAIRS:
        if name not in paths:
            raise SubterfugeError(f"demo: the embedded clip {name!r} is missing, expected it in the package")
    victim = load_on(VICTIM, "cpu")
    return Run(
        jobs=tuple((paths[name], Targeted(label)) for name, label in PAIRS),
        victim=victim,
        victim_name=VICTIM,
        attack=DEFAULT,
        access="gradients",
        steps=None,
        budget=None,
        seed=seed,
        out=make_folder(Path(out)),
        device="cpu",
    )
