"""Features of one's own, beside the 56: columns of the bars as they are, and what a class makes of bars.

NaN is what is not known. It may stand before a feature's first value, where no slice begins; after it a value that is
missing or infinite is refused, because whatever filled it would be invented here.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
import pandas as pd

from sizewise.base.errors import BarError, ConfigError
from sizewise.dataset.days import Days
from sizewise.params.dataset.observation import OwnFeatures
from sizewise.params.fields import Section
from sizewise.params.own_class import own_instance
from sizewise.params.reading import place_of


def _place() -> str:
    return place_of("observation", "own")


class Features(Section, ABC):
    """Base of features of one's own. Its fields are its parameters: further keys of `observation.own` in params.yaml."""

    @abstractmethod
    def definitions(self) -> Mapping[str, str]:
        """What each feature is, by name, in order; the same whatever the bars."""

    @abstractmethod
    def values(self, bars: pd.DataFrame, days: Days) -> Mapping[str, np.ndarray]:
        """Every feature at the close of each bar, from the bars up to it: by name, float64 (T,), NaN in its warm-up.

        Scales are free: what is read is standardised by symbol on train, and clipped at five deviations.

        Args:
            bars: validated, oldest first, with their further columns. days: their sessions, and what of them is known at
                which bar.
        """

    def warmup_days(self) -> int:
        """Sessions before a bar's own after which every feature has a value; a live decision asks for so many."""
        return 0


def open_own_features(own: OwnFeatures) -> Features | None:
    """The class that `observation.own` names, with its parameters; None where it names columns alone.

    Raises:
        ConfigError: the class cannot be imported or is no Features, or a parameter is refused.
    """
    if own.class_ is None:
        return None
    found: Features = own_instance(_place(), own.class_, Features, "sizewise.Features", own.own)
    return found


def own_definitions(own: OwnFeatures | None) -> dict[str, str]:
    """What each feature of one's own is, by name, in the order of the tables; nothing without any.

    Raises:
        ConfigError: see open_own_features; or two have one name.
    """
    if own is None:
        return {}
    found = open_own_features(own)
    made = {} if found is None else dict(found.definitions())
    columns = {name: f"column '{name}' of the bars" for name in own.columns}
    twice = [name for name in own.columns if own.columns.count(name) > 1 or name in made]
    if twice:
        raise ConfigError(f"{_place()}: '{twice[0]}' is named twice: name each feature once")
    return columns | made


def own_warmup_days(own: OwnFeatures | None) -> int:
    """Sessions after which the class has a value of every feature; 0 without a class."""
    found = None if own is None else open_own_features(own)
    return 0 if found is None else found.warmup_days()


def own_values(own: OwnFeatures | None, bars: pd.DataFrame, days: Days) -> dict[str, np.ndarray]:
    """Every feature of one's own: by name, float64 (T,), in the order of own_definitions.

    Raises:
        BarError: the bars lack a column.
        ConfigError: see own_definitions; or the class gives other names than it defines, or no number a bar.
    """
    if own is None:
        return {}
    lacking = [name for name in own.columns if name not in bars]
    if lacking:
        name = bars.attrs.get("symbol", "the symbol")
        raise BarError(
            f"{_place()} names column '{lacking[0]}', and the bars of {name} have none of numbers by that name: add it, or "
            "take it out"
        )
    columns = {name: bars[name].to_numpy(dtype=np.float64) for name in own.columns}
    found = open_own_features(own)
    if found is None:
        return columns
    defined, given = list(found.definitions()), found.values(bars, days)
    odd = sorted(set(defined) ^ set(given))
    if odd:
        raise ConfigError(f"{_place()}: {own.class_} does not both define and give '{odd[0]}': let both name it")
    return columns | {name: _one_a_bar(given[name], name, own, len(bars)) for name in defined}


def _one_a_bar(given: object, name: str, own: OwnFeatures, n_bars: int) -> np.ndarray:
    try:
        values = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise ConfigError(f"{_place()}: {own.class_} gives no numbers as '{name}': give one a bar") from None
    if values.shape != (n_bars,):
        raise ConfigError(
            f"{_place()}: {own.class_} gives '{name}' in shape {values.shape} for {n_bars} bars: give one a bar"
        )
    return values


def _first_known_row(own: OwnFeatures, values: Mapping[str, np.ndarray], bars: pd.DataFrame) -> int:
    """The first bar at which every column has a value; the number of bars where there is none."""
    known = np.ones(len(bars), dtype=bool)
    for name in own.columns:
        known &= np.isfinite(values[name])
    return int(known.argmax()) if known.any() else len(bars)


def first_own_row(own: OwnFeatures | None, bars: pd.DataFrame, days: Days) -> int:
    """The first bar at which every feature of one's own has a value; the number of bars where there is none.

    Raises:
        BarError: the bars lack a column. ConfigError: see open_own_features.
    """
    if own is None:
        return 0
    columns = OwnFeatures(columns=own.columns) if own.columns else None
    return max(_first_known_row(own, own_values(columns, bars, days), bars), days.first_row(own_warmup_days(own)))


def check_known(own: OwnFeatures | None, values: Mapping[str, np.ndarray], bars: pd.DataFrame, days: Days) -> None:
    """Refuse features of one's own that are missing after their warm-up, or infinite anywhere.

    Args:
        values: by name, see own_values.
    Raises:
        BarError: names symbol, row and feature.
    """
    if own is None:
        return
    times = pd.DatetimeIndex(bars.index)
    for name, column in values.items():
        known = np.isfinite(column)
        of_bars = name in own.columns
        first = int(known.argmax()) if of_bars else days.first_row(own_warmup_days(own))
        wrong = np.isinf(column)
        wrong[first:] |= ~known[first:]
        if wrong.any():
            row = int(wrong.argmax())
            where = f"{bars.attrs.get('symbol', 'bars')}: row {row} ({times[row]:%Y-%m-%d %H:%M} UTC)"
            longer = "" if of_bars else ", or let warmup_days() be longer"
            raise BarError(f"{where}: feature '{name}' is {column[row]:g}: give what was known at that close{longer}")
