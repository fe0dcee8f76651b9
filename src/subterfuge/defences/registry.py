"""The defences by name, each with a line about it; a module is imported only when one is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from subterfuge.names import known_name


@dataclass(frozen=True)
class Entry:
    """One defence in the registry.

    Attributes
    ----------
    where : str
        ``module:function``. Of a ``wrap`` defence what it names is called with options alone and gives
        something that is drawn, applied and frozen (:class:`subterfuge.defences.input.defence.Defence`), or,
        of kinds ``smooth`` and ``vote``, with the victim and options, and gives a victim. Of a ``train``
        defence it is called as ``train(victim, corpus, *, out, seed=0, force=False, report=None,
        **options)``: a loaded victim, the folder of a labelled corpus, and the folder to make, which it
        writes with ``save_victim`` and returns as a Path; ``report(what, done, total)`` is told how far it
        is.
    about : str
        One line for people.
    kind : str
        ``wrap`` (something done to the sound before the victim hears it), ``smooth`` (a vote over noisy
        copies), ``vote`` (of several victims) or ``train`` (a new victim, fitted on a corpus).
    adaptive : str
        How an attacker who knows it goes through it: ``differentiable``, ``straight-through`` (a stand-in for
        the slope), ``expectation`` (over what is drawn), or, of a trained one, ``as it is``.
    options : dict
        Keyword options that the name stands for.
    """

    where: str
    about: str
    kind: str = "wrap"
    adaptive: str = "differentiable"
    options: dict[str, Any] = field(default_factory=dict)


_INPUT = "subterfuge.defences.input"
_TRAINING = "subterfuge.defences.training"
DEFENCES: dict[str, Entry] = {
    "gate": Entry(
        f"{_INPUT}.gate:Gate",
        "noise filtered: cells below a threshold of their band are turned down",
        adaptive="straight-through",
        options={"stationary": True},
    ),
    "gate-nonstationary": Entry(
        f"{_INPUT}.gate:Gate",
        "the same against a level that follows the sound",
        options={"stationary": False},
    ),
    "denoise": Entry(
        f"{_INPUT}.reduced:Reduced",
        "noise turned down as noisereduce does by default: the original experiment's filter",
    ),
    "median": Entry(f"{_INPUT}.median:Median", "each sample the median of its neighbours"),
    "lowpass": Entry(f"{_INPUT}.lowpass:LowPass", "the treble taken away"),
    "resample": Entry(f"{_INPUT}.resampled:Resampled", "to a lower sample rate and back"),
    "bits": Entry(f"{_INPUT}.bits:Bits", "rounded to few bits", adaptive="straight-through"),
    "mp3": Entry(f"{_INPUT}.codec:Mp3File", "through a real MP3", adaptive="straight-through"),
    "ogg": Entry(f"{_INPUT}.codec:Vorbis", "through a real Ogg Vorbis", adaptive="straight-through"),
    "opus": Entry(f"{_INPUT}.codec:Opus", "through a real Opus", adaptive="straight-through"),
    "gain": Entry(f"{_INPUT}.drawn:RandomGain", "played louder or softer by chance", adaptive="expectation"),
    "shift": Entry(f"{_INPUT}.drawn:RandomShift", "moved in time by chance", adaptive="expectation"),
    "crop": Entry(f"{_INPUT}.drawn:RandomCrop", "a part left out by chance", adaptive="expectation"),
    "noise": Entry(f"{_INPUT}.drawn:RandomNoise", "white noise added", adaptive="expectation"),
    "dropout": Entry(
        f"{_INPUT}.dropout:Dropout", "cells of time and frequency left out by chance", adaptive="expectation"
    ),
    "smoothing": Entry(
        "subterfuge.defences.smoothing:Smoothed",
        "a vote over copies with Gaussian noise, with a certified radius",
        kind="smooth",
        adaptive="expectation",
    ),
    "ensemble": Entry(
        "subterfuge.defences.voting:ensemble",
        "a vote of several victims, which must be outvoted",
        kind="vote",
    ),
    "detector": Entry(
        "subterfuge.defences.detection.fitting:detector",
        "a guard that refuses what does not look like clean clips",
        kind="train",
        adaptive="differentiable",
    ),
    "noise-training": Entry(
        f"{_TRAINING}.noise:noise_training",
        "the seed's: three clips in ten with white noise",
        kind="train",
        adaptive="as it is",
    ),
    "denoise-training": Entry(
        f"{_TRAINING}.denoise:denoise_training",
        "the seed's: fitted on filtered clips, and fed with them",
        kind="train",
        adaptive="differentiable",
    ),
    "hardened-features": Entry(
        f"{_TRAINING}.refit:refit",
        "fitted anew on features that a small change moves little",
        kind="train",
        adaptive="as it is",
        options={"features": "hardened25"},
    ),
    "adversarial-augmentation": Entry(
        f"{_TRAINING}.adversarial:adversarial_augmentation",
        "an SVM fitted anew with what fools it, in rounds",
        kind="train",
        adaptive="as it is",
    ),
    "hardened-adversarial": Entry(
        f"{_TRAINING}.adversarial:adversarial_augmentation",
        "the same on hardened features, at 20 dB",
        kind="train",
        adaptive="as it is",
        options={"features": "hardened25", "snr_db": 20.0},
    ),
    "adversarial-training": Entry(
        f"{_TRAINING}.network:adversarial_training",
        "a network taught on clips at their worst (PGD or TRADES)",
        kind="train",
        adaptive="as it is",
    ),
}


def find(name: str) -> Entry:
    """What the registry holds under a name, without importing it.

    Raises
    ------
    SubterfugeError
        If there is none; the message names the nearest ones.

    Examples
    --------
    >>> find("Median").kind
    'wrap'
    """
    return DEFENCES[known(name)]


def known(name: str) -> str:
    """The name as the registry writes it: case does not matter, and ``_`` is as good as ``-``; raises too."""
    return known_name("defence", name, DEFENCES)


def get_defence(name: str) -> Callable[..., Any]:
    """What is behind a name, imported; the options that the name stands for are in :func:`find`.

    Raises
    ------
    SubterfugeError
        As :func:`find`.
    """
    module, function = find(name).where.split(":")
    made: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return made
