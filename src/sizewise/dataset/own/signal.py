"""A signal of one's own as a class or a column: stopped, sized and compared like every other."""

from abc import ABC, abstractmethod

import numpy as np
import pandas as pd

from sizewise.base.errors import BarError, ConfigError
from sizewise.dataset.days import Days
from sizewise.market.bars import CONFIDENCE, SIDES
from sizewise.params.dataset.signals import CustomSignal
from sizewise.params.fields import Section
from sizewise.params.own_class import own_instance
from sizewise.params.reading import place_of

# The column of a confidence of one's own in a signal's stream, at each bar; a fitted one is not known there yet.
GIVEN = "given_confidence"


class Signal(Section, ABC):
    """Base of a signal of one's own. Its fields are its parameters: further keys of `signals.family` in params.yaml."""

    @abstractmethod
    def direction(self, bars: pd.DataFrame, days: Days) -> np.ndarray:
        """The position wanted at each close, from the bars up to it: (T,), -1, 0 or 1.

        Args:
            bars: validated, oldest first. days: their sessions, and what of them is known at which bar.
        """

    def confidence(self, bars: pd.DataFrame, days: Days) -> np.ndarray | None:  # noqa: ARG002
        """How likely a trade that begins at each close is to gain, from the bars up to it: (T,), 0 to 1.

        It takes the place of the fitted confidence, for whoever reads that. None, the default: it is fitted.
        """
        return None


def open_own_signal(family: CustomSignal) -> Signal:
    """The signal that `signals.family` names, with its parameters.

    Raises:
        ConfigError: the class cannot be imported or is no Signal, or a parameter is refused.
    """
    place = place_of("signals", "family")
    found: Signal = own_instance(place, family.class_, Signal, "sizewise.Signal", family.own)
    return found


def own_direction(family: CustomSignal, bars: pd.DataFrame, days: Days) -> np.ndarray:
    """What the class says of these bars, checked: float64 (T,).

    Raises:
        ConfigError: see open_own_signal; or it gives anything but one of -1, 0 and 1 a bar.
    """
    said = np.asarray(open_own_signal(family).direction(bars, days))
    if said.shape != (len(bars),):
        raise ConfigError(
            f"signals: {family.class_} gives shape {said.shape} for {len(bars)} bars: give one side a bar"
        )
    wrong = ~np.isin(said, (-1, 0, 1))
    if wrong.any():
        row = int(wrong.argmax())
        raise ConfigError(f"signals: {family.class_} gives {said[row]} at row {row}: give -1, 0 or 1")
    return said.astype(np.float64)


def own_confidence(family: CustomSignal, bars: pd.DataFrame, days: Days) -> np.ndarray | None:
    """The confidence that the class gives, checked: float64 (T,); None where it gives none.

    Raises:
        ConfigError: see open_own_signal; or it gives anything but one number from 0 to 1 a bar.
    """
    given = open_own_signal(family).confidence(bars, days)
    if given is None:
        return None
    said = np.asarray(given, dtype=np.float64)
    if said.shape != (len(bars),):
        raise ConfigError(
            f"signals: {family.class_} gives a confidence of shape {said.shape} for {len(bars)} bars: give one a bar"
        )
    wrong = ~((said >= 0.0) & (said <= 1.0))
    if wrong.any():
        row = int(wrong.argmax())
        raise ConfigError(
            f"signals: {family.class_} gives confidence {said[row]:g} at row {row}: give a number from 0 to 1"
        )
    return said


def column_direction(bars: pd.DataFrame) -> np.ndarray:
    """The column `signal` or `direction` of the bars: float64 (T,), -1, 0 or 1.

    Raises:
        BarError: they have neither, or both.
    """
    given = [name for name in SIDES if name in bars]
    if len(given) != 1:
        name = bars.attrs.get("symbol", "the symbol")
        has = "both columns 'signal' and 'direction'" if given else "no column 'signal' or 'direction'"
        remedy = "keep one" if given else "add one of -1, 0 and 1, the position wanted at each close"
        raise BarError(f"signals.family is column, but the bars of {name} have {has}: {remedy}")
    return bars[given[0]].to_numpy()


def column_confidence(bars: pd.DataFrame) -> np.ndarray | None:
    """The column `confidence` of the bars: float64 (T,), from 0 to 1; None where there is none."""
    return bars[CONFIDENCE].to_numpy() if CONFIDENCE in bars else None
