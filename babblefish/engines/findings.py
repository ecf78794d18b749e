"""What is found of weights: as published or not, measured, or not to be told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """What a finding says."""

    SAME = "same"
    """As it is published."""
    DIFFERS = "differs"
    """Other than it is published: another checkpoint, or a fault of ours."""
    MEASURED = "measured"
    """A figure that nothing was published of."""
    SKIPPED = "skipped"
    """What it needs is not installed."""
    FAILED = "failed"
    """It could not be found out."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was looked at.

    Attributes:
        name: What.
        verdict: What it says.
        found: As JSON can hold it.
        expected: What is published, if anything is.
    """

    name: str
    verdict: Verdict
    found: Any
    expected: Any = None


def compared(name: str, found: Any, expected: Any) -> Finding:
    """Return whether something is as it is published."""
    return Finding(name, Verdict.SAME if found == expected else Verdict.DIFFERS, found, expected)


def measured(name: str, found: Any) -> Finding:
    """Return a figure."""
    return Finding(name, Verdict.MEASURED, found)


def attempted(name: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Yield what a look yields; whatever ends it early is a finding, so that the others are made all the same."""
    try:
        yield from look()
    except Exception as error:  # weights of an unknown kind can make a library raise anything
        yield Finding(name, Verdict.FAILED, f"{type(error).__name__}: {error}")
