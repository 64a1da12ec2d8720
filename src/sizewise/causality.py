"""Does a function of bars look ahead? Its rows before a cut must not know the bars from the cut on.

Two ways to find out. *Truncation*: f(bars[:cut]) equals f(bars)[:cut]. *Poisoning*: every bar from the cut on is changed,
in several ways, and no row before it moves. Poisoning finds what reads a future value, truncation also what reads how many
bars there are, or when they come.
"""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NoReturn

import numpy as np
import pandas as pd
from tqdm import tqdm

from sizewise.base.errors import ConfigError, DataMissingError, SizewiseError
from sizewise.base.paths import require
from sizewise.dataset.days import Days
from sizewise.dataset.features import compute_features
from sizewise.dataset.own.features import own_values
from sizewise.dataset.regimes import label_regimes
from sizewise.dataset.signals import signal_stream
from sizewise.dataset.slices import decline_labels, fixed_rule_labels, trend_labels
from sizewise.market.bars import load_bars
from sizewise.market.instruments import Instrument
from sizewise.params.dataset.signals import Column, Signals, TradesFile
from sizewise.params.reading import Params

Rows = pd.DataFrame | pd.Series | np.ndarray
BarFunction = Callable[[pd.DataFrame], Rows]
Poison = Callable[[np.ndarray], np.ndarray]
Kind = Literal["truncation", "poisoning"]

# Inside most warm-ups, where a backward fill hides; default_cuts adds others that follow the length.
EARLY_CUTS = (3, 20, 50, 100, 300)


def _jagged(future: np.ndarray) -> np.ndarray:
    steps = np.where(np.arange(len(future)) % 2 == 0, 2.0, 0.5)
    return future * steps[:, None]


# What becomes of the bars from a cut on, shape (bars, columns). Each keeps prices positive and a bar's high above its low.
# Rules free of the price level do not notice one factor for all of them, hence the last two.
POISONS: Mapping[str, Poison] = {
    "huge": lambda future: 1e6 * future,
    "tiny": lambda future: 1e-6 * future,
    "reversed": lambda future: 1.5 * future[::-1],
    "jagged": _jagged,
}


class CausalityError(SizewiseError):
    """A function cannot be checked for looking ahead, or looks ahead."""


@dataclass(frozen=True)
class Leak:
    """The earliest row of a column that changes with the bars from `cut` on."""

    row: int
    timestamp: pd.Timestamp
    column: str
    kind: Kind
    cut: int


def default_cuts(n_bars: int) -> tuple[int, ...]:
    """Where to cut that many bars: early, in the middle, and before the last; increasing, each in [1, n_bars)."""
    cuts = {*EARLY_CUTS, n_bars // 2, n_bars - 1}
    return tuple(sorted(cut for cut in cuts if 1 <= cut < n_bars))


def n_calls(cuts: Iterable[int], poisons: Mapping[str, Poison] = POISONS) -> int:
    """How often check_causal calls a function that it can check."""
    return 2 + len(set(cuts)) * (1 + len(poisons))


def check_causal(
    function: BarFunction,
    bars: pd.DataFrame,
    cuts: Iterable[int] | None = None,
    *,
    poisons: Mapping[str, Poison] = POISONS,
) -> list[Leak]:
    """Where rows depend on later bars, to the last bit; NaN equals NaN.

    Args:
        function: bars to rows, one a bar, in their order: a DataFrame, a Series, or an array whose first axis is time. It
            must cope with as few bars as the first cut leaves.
        bars: validated bars, oldest first.
        cuts: rows; some should fall inside the warm-up. Default: default_cuts.
    Returns:
        the earliest row of each column, kind and cut, first the first row and column that leaks; empty if none does.
    Raises:
        CausalityError: a cut leaves nothing on one side; the function raises, changes its input, gives other values on a
            second call, returns something else than one row a bar or other columns for fewer bars, or no poison reaches it.
    """
    chosen = default_cuts(len(bars)) if cuts is None else tuple(sorted(set(cuts)))
    if not chosen or chosen[0] < 1 or chosen[-1] >= len(bars):
        raise CausalityError(f"cuts {list(chosen)} must lie in [1, {len(bars)}): {len(bars)} bars are given")
    whole = _columns(function, bars, "all bars")
    _check_same_again(whole, _columns(function, bars, "all bars"), bars)
    found: dict[tuple[Kind, int, int], int] = {}
    reached = False
    for cut in chosen:
        for kind, other in _changed(function, bars, cut, poisons):
            if [name for name, _ in other] != [name for name, _ in whole]:
                raise CausalityError(
                    f"returns columns {_names(other)} when the bars from row {cut} on change, and {_names(whole)} before: "
                    "name the same columns whatever the bars"
                )
            for number, ((_, mine), (_, theirs)) in enumerate(zip(whole, other, strict=True)):
                rows = np.flatnonzero(_differs(mine[:cut], theirs[:cut]))
                if len(rows):
                    key = (kind, cut, number)
                    found[key] = min(int(rows[0]), found.get(key, cut))
                reached = reached or (kind == "poisoning" and bool(_differs(mine[cut:], theirs[cut:]).any()))
    if not found and not reached:
        raise CausalityError("no change of later bars changes any row: it reads no bar, so there is nothing to check")
    ordered = sorted((row, number, cut, kind) for (kind, cut, number), row in found.items())
    times = pd.DatetimeIndex(bars.index)
    return [Leak(row, times[row], whole[number][0], kind, cut) for row, number, cut, kind in ordered]


def describe(leak: Leak) -> str:
    """A leak in one line."""
    what = {"truncation": "are taken away", "poisoning": "change"}[leak.kind]
    return (
        f"row {leak.row} ({leak.timestamp:%Y-%m-%d %H:%M} UTC), column '{leak.column}', is another value when the bars from "
        f"row {leak.cut} on {what} ({leak.kind})"
    )


_Columns = list[tuple[str, np.ndarray]]


def _names(columns: _Columns) -> str:
    return ", ".join(name for name, _ in columns)


def _changed(
    function: BarFunction, bars: pd.DataFrame, cut: int, poisons: Mapping[str, Poison]
) -> Iterator[tuple[Kind, _Columns]]:
    """The function's columns for each way to change the bars from `cut` on."""
    yield "truncation", _columns(function, bars.iloc[:cut], f"the first {cut} bars")
    for name, poison in poisons.items():
        changed = _poisoned(bars, cut, poison)
        yield "poisoning", _columns(function, changed, f"bars that are {name} from row {cut} on")


def _poisoned(bars: pd.DataFrame, cut: int, poison: Poison) -> pd.DataFrame:
    changed = bars.copy()
    numbers = bars.select_dtypes("number").columns
    changed.loc[bars.index[cut:], numbers] = poison(bars[numbers].iloc[cut:].to_numpy(dtype=np.float64))
    return changed


def _columns(function: BarFunction, bars: pd.DataFrame, what: str) -> _Columns:
    """The function's rows by column, (name, (T,)) each, once they are one a bar."""
    given = bars.copy()
    try:
        # A poison may overflow what the function squares.
        with np.errstate(all="ignore"):
            rows = function(given)
    except Exception as error:
        said = (str(error).splitlines() or [""])[0]
        raise CausalityError(
            f"raises {type(error).__name__} ({said}) on {what}: return NaN in rows that are not warm"
        ) from error
    if not given.equals(bars):
        raise CausalityError(f"changes the bars that it is given ({what}): let it work on a copy")
    if not isinstance(rows, pd.DataFrame | pd.Series | np.ndarray) or not rows.ndim:
        raise CausalityError(
            f"returns a {type(rows).__name__}: return a DataFrame, a Series or an array, one row a bar"
        )
    if len(rows) != len(bars):
        raise CausalityError(f"returns {len(rows)} rows for {len(bars)} bars ({what}): return one row a bar")
    if isinstance(rows, np.ndarray):
        flat = rows.reshape(len(rows), -1)
        return [(str(number), flat[:, number]) for number in range(flat.shape[1])]
    if isinstance(rows.index, pd.DatetimeIndex) and not rows.index.equals(bars.index):
        raise CausalityError(f"returns rows at other times than the bars' ({what}): keep their index")
    if isinstance(rows, pd.Series):
        return [("0" if rows.name is None else str(rows.name), _plain(rows))]
    return [(str(name), _plain(rows.iloc[:, number])) for number, name in enumerate(rows.columns)]


def _plain(column: pd.Series) -> np.ndarray:
    # The codes of categories depend on which of them occur; their names do not.
    return column.to_numpy() if isinstance(column.dtype, np.dtype) else column.astype(object).to_numpy()


def _differs(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Whether the values of two columns differ, row by row."""
    missing_left, missing_right = np.asarray(pd.isna(left)), np.asarray(pd.isna(right))
    either = missing_left | missing_right
    different: np.ndarray = missing_left != missing_right
    different[~either] = _unequal(left[~either], right[~either])
    return different


def _unequal(left: Any, right: Any) -> np.ndarray:
    return np.asarray(left != right, dtype=bool)


def _check_same_again(first: _Columns, second: _Columns, bars: pd.DataFrame) -> None:
    for (name, one), (_, other) in zip(first, second, strict=True):
        rows = np.flatnonzero(_differs(one, other))
        if len(rows):
            raise CausalityError(
                f"gives other values on a second call with the same bars, first at row {rows[0]} "
                f"({bars.index[rows[0]]:%Y-%m-%d %H:%M} UTC), column '{name}': seed its randomness and keep no state"
            )


EXAMPLE = "my_features.py:compute or package.module:function"


def load_function(target: str) -> BarFunction:
    """The function that `file.py:name` or `package.module:name` names; modules are looked for in the working directory too.

    Raises:
        DataMissingError: no such file or module.
        ConfigError: it cannot be imported, has no such function, or the function does not take the bars alone.
    """
    place, separator, name = target.rpartition(":")
    if not separator or not place or not name:
        raise ConfigError(f"--causality '{target}' names no function: give {EXAMPLE}")
    module = _import_file(Path(place)) if place.endswith(".py") else _import_module(place)
    function = getattr(module, name, None)
    if not callable(function):
        raise ConfigError(f"{place} has no function '{name}': give {EXAMPLE}")
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        raise ConfigError(
            f"{target}{inspect.signature(function)} cannot be called with the bars alone: take one DataFrame, and give the "
            "rest defaults"
        ) from None
    except ValueError:  # a builtin without a signature: its first call will tell
        pass
    return function


def _import_file(path: Path) -> ModuleType:
    require(path, "check the path of the function to check")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path.name} cannot be imported: give a Python file")
    module = importlib.util.module_from_spec(spec)
    # What lies beside a script can be imported by it.
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise _not_imported(path.name, error) from error
    finally:
        sys.path.remove(str(path.resolve().parent))
    return module


def _import_module(name: str) -> ModuleType:
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise DataMissingError(
                f"there is no module '{name}': run this where it can be imported, or give its file"
            ) from None
        raise _not_imported(name, error) from error
    except (Exception, SystemExit) as error:
        raise _not_imported(name, error) from error
    finally:
        sys.path.remove(here)


def _not_imported(name: str, error: BaseException) -> ConfigError:
    said = (str(error).splitlines() or [""])[0]
    return ConfigError(f"{name} cannot be imported: {type(error).__name__} ({said}): mend it first")


def own_parts(params: Params, instruments: Mapping[str, Instrument] | None = None) -> dict[str, BarFunction]:
    """What this project computes from bars before anything is fitted, as functions of bars; see decided_elsewhere.

    Args:
        instruments: whose calendars cut the bars of their symbols into days; others have UTC days.
    """

    def terms(bars: pd.DataFrame) -> Instrument | None:
        return (instruments or {}).get(str(bars.attrs.get("symbol")))

    def slices(bars: pd.DataFrame) -> pd.DataFrame:
        labels = {
            "trend": trend_labels(bars, params.slices),
            "decline": decline_labels(bars, params.slices),
            "fixed_rule": fixed_rule_labels(bars, params.regimes, terms(bars)),
        }
        days = pd.DatetimeIndex(bars.index).floor("D")
        return pd.DataFrame(labels).reindex(days).set_axis(bars.index)

    own = params.observation.own
    given = decided_elsewhere(params) is not None
    signals = Signals() if given else params.signals

    def stream(bars: pd.DataFrame) -> pd.DataFrame:
        return signal_stream(bars, signals, Days.of(bars, terms(bars)))

    # First, so that a leak is told by the name of whoever has it.
    mine: dict[str, BarFunction] = {}
    if own is not None:
        mine["features of your own"] = lambda bars: pd.DataFrame(own_values(own, bars, Days.of(bars, terms(bars))))
    if signals.own_name is not None:
        mine[f"signal {signals.own_name}"] = stream
    bundled: dict[str, BarFunction] = {} if given or signals.own_name is not None else {"signals": stream}
    return {
        **mine,
        "features": lambda bars: compute_features(bars, params.regimes, signals, terms(bars), own),
        "regimes": lambda bars: label_regimes(Days.of(bars, terms(bars)), params.regimes),
        **bundled,
        "slices": slices,
    }


def decided_elsewhere(params: Params) -> str | None:
    """Why a signal that comes as a column or a file cannot be poisoned, in a line; None where it is computed here."""
    if not isinstance(params.signals.family, Column | TradesFile):
        return None
    name = params.signals.own_name
    return f"signals: {name} was decided elsewhere, and nothing here can tell from which bars: not checked"


def check_functions(
    functions: Mapping[str, BarFunction], paths: Sequence[Path], cuts: Sequence[int] | None = None
) -> Iterator[str]:
    """Check every function on every file of bars; one line each that passes.

    Args:
        cuts: see causality.check_causal.
    Raises:
        CausalityError: a function looks ahead, or cannot be checked; names it, the file, the first row and the column.
        DataMissingError, BarError: see bars.load_bars.
    """
    for path in paths:
        bars = load_bars(path)
        chosen = default_cuts(len(bars)) if cuts is None else cuts
        for name, function in functions.items():
            where = f"{name} on {path.name}"
            try:
                with tqdm(total=n_calls(chosen), desc=where, unit="call", leave=False, disable=None) as progress:
                    leaks = check_causal(_counted(function, progress), bars, chosen)
            except CausalityError as error:
                raise CausalityError(f"{where}: {error}") from None
            if leaks:
                raise CausalityError(f"{where} looks ahead: {describe(leaks[0])}")
            yield f"{where}: {len(bars)} rows, {len(set(chosen))} cuts: ok"


def _counted(function: BarFunction, progress: "tqdm[NoReturn]") -> BarFunction:
    def counted(bars: pd.DataFrame) -> object:
        progress.update()
        return function(bars)

    return counted  # type: ignore[return-value]
