"""The page of ``seed_defences.py``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def page(head: str, replay: Sequence[dict[str, Any]], results: Sequence[dict[str, Any]]) -> str:
    """The whole page."""
    return head
