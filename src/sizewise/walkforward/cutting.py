"""Folds that follow the bars: `splits: auto` as dates. The rule stands at params.dataset.splits.AutoSplits.

`python -m sizewise.walkforward.cutting` is the stage `splits`: it writes artifacts/splits.json, which every later stage
reads. The dates are a function of the bars, their calendars and params.yaml, and of nothing that a fold is to find out.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

import numpy as np
import pandas as pd

from sizewise.base.errors import ConfigError, exit_status
from sizewise.base.paths import Workspace
from sizewise.dataset.confidence import stretch_edges, within
from sizewise.dataset.days import Days
from sizewise.dataset.own.signal import GIVEN
from sizewise.dataset.signals import signal_stream, signal_trades
from sizewise.dataset.splits import Fold, walk_forward
from sizewise.dataset.store import SCHEMES, Universe, read_times, read_universe, warm_rows
from sizewise.params.dataset.signals import Signals
from sizewise.params.dataset.splits import AutoSplits, Splits
from sizewise.params.dates import write_dates
from sizewise.params.reading import Params, parse_params, read_params

# So many beginnings of the first test are tried, evenly over the days that it may begin on.
TRIES = 40


@dataclass(frozen=True)
class Ground:
    """What folds are cut from and must be fitted on.

    Attributes:
        universe: bars before the seal. warm: by symbol the first row that a slice may use; see store.warm_rows.
    """

    universe: Universe
    warm: Mapping[str, int]
    signals: Signals

    @cached_property
    def times(self) -> dict[str, pd.DatetimeIndex]:
        """Bar starts by symbol."""
        return {symbol: pd.DatetimeIndex(frame.index) for symbol, frame in self.universe.bars.items()}

    @cached_property
    def streams(self) -> dict[str, pd.DataFrame]:
        """The signal of each symbol; see signals.signal_stream."""
        terms = self.universe.instruments
        return {
            symbol: signal_stream(frame, self.signals, Days.of(frame, terms[symbol]))
            for symbol, frame in self.universe.bars.items()
        }

    @cached_property
    def trades(self) -> dict[str, pd.DataFrame]:
        """The finished trades of each symbol; see signals.signal_trades."""
        return {symbol: signal_trades(frame, self.streams[symbol]) for symbol, frame in self.universe.bars.items()}

    def cut(self, rules: Splits) -> dict[str, tuple[Fold, ...]]:
        """Folds of both schemes; see splits.walk_forward."""
        return {scheme: walk_forward(self.times, rules, scheme, first_rows=self.warm) for scheme in SCHEMES}

    def folds(self, rules: Splits) -> dict[str, tuple[Fold, ...]]:
        """The same, each of which a confidence can be fitted on.

        Raises:
            ConfigError: a fold has no symbol to test, or too few train trades to fit a confidence on.
        """
        found = self.cut(rules)
        for fold in (fold for folds in found.values() for fold in folds):
            self._fit(fold)
        return found

    def _fit(self, fold: Fold) -> None:
        """Refuse a fold whose confidence could not be fitted; see confidence.fit_confidence."""
        if any(GIVEN in stream for stream in self.streams.values()):
            # A signal that brings its own confidence is not fitted.
            return
        entered, won = [], []
        for symbol, learn in fold.train.items():
            trades = self.trades[symbol]
            mine = trades[within(trades, learn)]
            entered.append(self.times[symbol].as_unit("ns").asi8[mine["entry_row"]])
            won.append((mine["gross_return"] > 0).to_numpy())
        stretch_edges(fold, np.concatenate(entered), np.concatenate(won), self.signals)


def ground(workspace: Workspace, p: Params, *, before: date) -> Ground:
    """The bars before a day, with what folds on them need.

    Args:
        p: sections data, regimes, signals, observation.
    Raises:
        see store.read_universe.
    """
    universe = read_universe(workspace.bars, p.data, before=before, own=p.observation.own)
    return Ground(universe, warm_rows(universe, p.regimes, window_bars=p.observation.window_bars), p.signals)


def sealed_from(times: Sequence[pd.DatetimeIndex], rule: AutoSplits) -> tuple[date, date]:
    """The first day of the sealed part, and the day after the last bar; the same day twice where nothing is sealed."""
    first = min(index[0] for index in times).date()
    stop = max(index[-1] for index in times).date() + timedelta(days=1)
    return stop - timedelta(days=round(rule.sealed_frac * (stop - first).days)), stop


def cut(on: Ground, rule: AutoSplits, *, stop: date, end: date) -> Splits:
    """The dates of `rule`; see AutoSplits.

    Args:
        on: bars before `end`. stop: the day after the last bar; bars of [end, stop) are sealed.
    Raises:
        ConfigError: there are too few bars, days or trades for one fold; says what there is.
    """
    opens = [on.times[symbol][row] for symbol, row in on.warm.items() if row < len(on.times[symbol])]
    if not opens:
        raise _too_short(on, end, "no bar is left after the warm-up")
    # The day of the first warm bar is over when the first slice begins.
    warm = min(opens).date() + timedelta(days=1)
    last = "no test window would be long enough"
    for number in range(rule.folds, 0, -1):
        for start in _beginnings(warm, end, rule, number):
            try:
                rules = _dates(rule, warm, start, end, stop, number)
                on.folds(rules)
            except ConfigError as error:
                last = str(error)
                continue
            return rules
    raise _too_short(on, end, last)


def _beginnings(warm: date, end: date, rule: AutoSplits, number: int) -> Iterator[date]:
    """Days on which the first of so many tests may begin, the earliest first."""
    days = (end - warm).days
    earliest = int(np.ceil(rule.train_frac * days))
    latest = min(earliest + (days - earliest) // 2, days - number * rule.min_test_days)
    if latest >= max(earliest, 1):
        for after in np.unique(np.linspace(max(earliest, 1), latest, TRIES).astype(int)).tolist():
            yield warm + timedelta(days=after)


def _dates(rule: AutoSplits, warm: date, start: date, end: date, stop: date, number: int) -> Splits:
    edges = np.linspace(0, (end - start).days, number + 1).astype(int)[:-1].tolist()
    return Splits(
        test_starts=tuple(start + timedelta(days=edge) for edge in edges),
        end=end,
        sealed_end=stop if stop > end else None,
        rolling_days=(start - warm).days,
        purge_bars=rule.purge_bars,
        min_train_bars=rule.min_train_bars,
        min_train_days=rule.min_train_days,
        min_test_bars=rule.min_test_bars,
    )


def _too_short(on: Ground, end: date, why: str) -> ConfigError:
    said = ", ".join(
        f"{symbol} {len(index)} bars from {index[0]:%Y-%m-%d}, the first {min(on.warm[symbol], len(index))} of them warm-up"
        for symbol, index in list(on.times.items())[:3]
    )
    more = f" and {len(on.times) - 3} more symbols" if len(on.times) > 3 else ""
    return ConfigError(
        f"splits: auto finds no fold in the bars before {end} ({said}{more}): {why.removeprefix('splits: ')}. Give more "
        "bars, shorten regimes.quantile_window_days, take a faster signals.family, or give splits dates of your own"
    )


def find_dates(workspace: Workspace, p: Params) -> Splits:
    """The dates of a project's folds: as params.yaml writes them out, or as its rule finds them in the bars.

    Args:
        p: sections as declared.
    Raises:
        see cut and store.read_universe.
    """
    if isinstance(p.splits, Splits):
        return p.splits
    end, stop = sealed_from(list(read_times(workspace.bars, p.data).values()), p.splits)
    return cut(ground(workspace, p, before=end), p.splits, stop=stop, end=end)


def write(profile: str = "full") -> None:
    """Find the dates and write artifacts/splits.json."""
    workspace = Workspace.open(profile)
    values = read_params(workspace.root, profile)
    write_dates(workspace.base, values, find_dates(workspace, parse_params(values)))


def main(argv: list[str] | None = None) -> int:
    """`python -m sizewise.walkforward.cutting`: what dvc.yaml calls. Exit status 2 and one line on an error."""
    parser = argparse.ArgumentParser(prog="python -m sizewise.walkforward.cutting", description=__doc__)
    parser.add_argument("--profile", default="full", help="parameters to overlay: tests/<profile>.yaml")
    return exit_status(lambda: write(parser.parse_args(argv).profile))


if __name__ == "__main__":
    sys.exit(main())
