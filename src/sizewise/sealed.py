"""The sealed slice: the last stretch of the bars, which no stage evaluates; its openings are in the trial ledger."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sizewise import config
from sizewise.errors import ConfigError
from sizewise.trials import openings


@dataclass(frozen=True)
class Seal:
    """UTC dates: bars of [start, end) are sealed."""

    start: str
    end: str


def seal_of(splits: config.Splits) -> Seal:
    """The slice that params seal.

    Raises:
        ConfigError: they seal none.
    """
    if splits.sealed_end is None:
        raise ConfigError("splits.sealed_end is not set: no slice is sealed; set it to a date after splits.end")
    return Seal(str(splits.end), str(splits.sealed_end))


def sentence(trials: Sequence[Mapping[str, Any]], splits: config.Splits) -> str:
    """For every report: whether the sealed slice has been looked at, and how often.

    Args:
        trials: lines of the trial ledger.
    """
    if splits.sealed_end is None:
        return "No slice of the bars is sealed: there is nothing left that no choice has seen."
    seal = seal_of(splits)
    name = f"The sealed slice ({seal.start} to {seal.end}, the end not included)"
    found = openings(trials, seal.start, seal.end)
    if not found:
        return f"{name} has not been opened."
    if len(found) == 1:
        return (
            f"{name} was opened once, under plan {found[0]['plan_hash']}: its result stands, and cannot be had again."
        )
    plans = ", ".join(str(opening["plan_hash"]) for opening in found)
    return (
        f"**{name} was opened {len(found)} times** (plans {plans}): only the first result was of bars not seen before."
    )
