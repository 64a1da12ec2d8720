"""`sizewise check --causality`: a user's own function of bars, or the project's features, regimes and signals."""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pandas as pd
from tqdm import tqdm

from sizewise import config
from sizewise.bars import load_bars
from sizewise.causality import BarFunction, CausalityError, check_causal, default_cuts, describe, n_calls
from sizewise.errors import ConfigError, DataMissingError
from sizewise.features import compute_features
from sizewise.market_slices import decline_labels, fixed_rule_labels, trend_labels
from sizewise.regimes import label_regimes
from sizewise.signals import trend_direction

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
    if not path.is_file():
        raise DataMissingError(f"{path.name} is missing: check the path of the function to check")
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


def own_parts(params: config.Params) -> dict[str, BarFunction]:
    """What this project computes from bars before anything is fitted, as functions of bars."""

    def slices(bars: pd.DataFrame) -> pd.DataFrame:
        labels = {
            "trend": trend_labels(bars, params.slices),
            "decline": decline_labels(bars, params.slices),
            "fixed_rule": fixed_rule_labels(bars, params.regimes),
        }
        days = pd.DatetimeIndex(bars.index).floor("D")
        return pd.DataFrame(labels).reindex(days).set_axis(bars.index)

    return {
        "features": lambda bars: compute_features(bars, params.regimes, params.signals),
        "regimes": lambda bars: label_regimes(bars, params.regimes),
        "signals": lambda bars: trend_direction(bars, params.signals),
        "slices": slices,
    }


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
