"""A signal of one's own: a class named in params.yaml, stopped, sized and compared like every other."""

from abc import ABC, abstractmethod

import numpy as np
import pandas as pd
from pydantic import ValidationError

from sizewise.base.errors import ConfigError
from sizewise.dataset.days import Days
from sizewise.params.dataset.signals import CustomSignal
from sizewise.params.fields import Section
from sizewise.params.own_class import own_class
from sizewise.params.reading import place_of


class Signal(Section, ABC):
    """Base of a signal of one's own. Its fields are its parameters: further keys of `signals.family` in params.yaml."""

    @abstractmethod
    def direction(self, bars: pd.DataFrame, days: Days) -> np.ndarray:
        """The position wanted at each close, from the bars up to it: (T,), -1, 0 or 1.

        Args:
            bars: validated, oldest first. days: their sessions, and what of them is known at which bar.
        """


def open_own_signal(family: CustomSignal) -> Signal:
    """The signal that `signals.family` names, with its parameters.

    Raises:
        ConfigError: the class cannot be imported or is no Signal, or a parameter is refused.
    """
    place = place_of("signals", "family")
    own = own_class(place, family.class_, Signal, "sizewise.Signal")
    try:
        own.model_validate(family.own)
        found: Signal = own(**family.own)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(
            f"{place}: {family.class_} refuses '{key}': {first['msg']}: mend the value, or the field of the class"
        ) from None
    except TypeError as error:
        raise ConfigError(
            f"{place}: {family.class_} cannot be made ({error}): give it what its base class asks"
        ) from None
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
