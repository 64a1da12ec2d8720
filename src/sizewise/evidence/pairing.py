"""What two arms' ledgers must share before they are compared, and what voids a comparison that can be computed."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sizewise.base.errors import LedgerError
from sizewise.ledgers.metrics import PATH

COLUMNS = (*PATH, "timestamp", "equity")
TRADE_KEYS = ("symbol", "fold", "decision_id", "side", "entry_time", "exit_time")
REMEDY = "compare ledgers of one walk-forward run"
Part = tuple[str, int]
# The symbol of a bare series.
BARE = "one"


@dataclass(frozen=True)
class ArmLedger:
    """One arm's equity, checked.

    name: for messages. rows: columns of COLUMNS at least, paths together and oldest first. paths: the rows of each (symbol,
    fold) by seed; every seed has the same bars.
    """

    name: str
    rows: pd.DataFrame
    paths: Mapping[Part, Mapping[int, slice]]

    @property
    def seeds(self) -> set[int]:
        return {seed for seeds in self.paths.values() for seed in seeds}


def open_ledger(equity: pd.Series | pd.DataFrame, name: str) -> ArmLedger:
    """Check one arm by itself.

    Args:
        equity: a series on a UTC index (one path), or a frame with the columns of COLUMNS. A column `arm` of one value
            names the arm in place of `name`.
    Raises:
        LedgerError: a column is missing, times are not UTC, an equity is NaN, infinite or not positive, a bar stands twice
            in a path, or a seed lacks a path or bars that another seed of the arm has; names which.
    """
    frame = _as_frame(equity, name)
    if "arm" in frame.columns and len(frame) and (frame["arm"] == frame["arm"].iloc[0]).all():
        name = str(frame["arm"].iloc[0])
    missing = [column for column in COLUMNS if column not in frame.columns]
    if missing:
        raise LedgerError(f"{name}: column '{missing[0]}' is missing: give a series, or columns {', '.join(COLUMNS)}")
    if frame.empty:
        raise LedgerError(f"{name}: the ledger has no rows: {REMEDY}")
    _check_times(name, frame["timestamp"])
    _check_equity(name, frame)
    rows = _in_order(frame)
    paths = _cut(rows)
    _check_seeds(name, rows, paths)
    return ArmLedger(name, rows, paths)


def _as_frame(equity: pd.Series | pd.DataFrame, name: str) -> pd.DataFrame:
    if isinstance(equity, pd.DataFrame):
        return equity
    if not isinstance(equity, pd.Series):
        remedy = "read the file first" if isinstance(equity, str) else "give values with their times"
        raise LedgerError(
            f"{name}: a {type(equity).__name__} is no equity: give a series, or a frame of paths: {remedy}, as in "
            "pd.Series(values, index=times)"
        )
    if not isinstance(equity.index, pd.DatetimeIndex):
        raise LedgerError(
            f"{name}: a series of equity needs a UTC time index, not one of {equity.index.dtype}: set it with "
            'series.set_axis(pd.DatetimeIndex(times, tz="UTC"))'
        )
    values = {"symbol": BARE, "fold": 0, "seed": 0, "timestamp": equity.index, "equity": equity.to_numpy()}
    return pd.DataFrame(values)


def _check_times(name: str, times: pd.Series) -> None:
    """Hold the times of a series and of a frame to the same: UTC, whose days are what is compared."""
    zone = getattr(times.dtype, "tz", None)
    if str(zone) == "UTC":
        if times.isna().any():
            raise LedgerError(
                f"{name}: the time of row {int(times.isna().argmax())} is missing: fill it, or leave the row out"
            )
        return
    if not pd.api.types.is_datetime64_any_dtype(times.dtype):
        raise LedgerError(
            f"{name}: times need UTC and are {times.dtype}: convert them with pd.to_datetime(times, utc=True)"
        )
    if zone is None:
        raise LedgerError(
            f'{name}: times have no time zone and need UTC: say theirs with tz_localize("UTC"), or with their own zone and '
            'then tz_convert("UTC")'
        )
    raise LedgerError(f'{name}: times are those of {zone} and need UTC: convert them with tz_convert("UTC")')


def _check_equity(name: str, frame: pd.DataFrame) -> None:
    """Hold equity to positive, finite numbers; the first that is none is called what it is."""
    equity = frame["equity"]
    if not pd.api.types.is_numeric_dtype(equity.dtype):
        raise LedgerError(f"{name}: equity holds {equity.dtype} and no numbers: convert it with pd.to_numeric(equity)")
    values = equity.to_numpy(dtype=np.float64)
    sound = (values > 0.0) & np.isfinite(values)
    if sound.all():
        return
    row = int((~sound).argmax())
    value, where = values[row], f"in row {row} ({frame['timestamp'].iloc[row]})"
    if np.isnan(value):
        raise LedgerError(
            f"{name}: equity is NaN {where}: leave the row out of both arms, or fill in what it was worth"
        )
    if np.isinf(value):
        raise LedgerError(f"{name}: equity is infinite {where}, so not finite: mend what divides by zero there")
    raise LedgerError(f"{name}: equity is not positive {where}, but {value:g}: an account without equity has no growth")


def _codes(rows: pd.DataFrame) -> list[np.ndarray]:
    """Symbol, fold and seed as numbers in their own order."""
    return [pd.factorize(rows[key], sort=True)[0] for key in PATH]


def _times(rows: pd.DataFrame) -> np.ndarray:
    return pd.DatetimeIndex(rows["timestamp"]).as_unit("ns").asi8


def _in_order(frame: pd.DataFrame) -> pd.DataFrame:
    order = np.lexsort((_times(frame), *reversed(_codes(frame))))
    if (np.diff(order) == 1).all():
        return frame.reset_index(drop=True)
    return frame.iloc[order].reset_index(drop=True)


def _cut(rows: pd.DataFrame) -> dict[Part, dict[int, slice]]:
    turns = np.any([np.diff(codes) != 0 for codes in _codes(rows)], axis=0)
    starts = np.concatenate([[0], np.flatnonzero(turns) + 1])
    stops = np.append(starts[1:], len(rows))
    paths: dict[Part, dict[int, slice]] = {}
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        symbol, fold, seed = (rows[key].iloc[start] for key in PATH)
        paths.setdefault((str(symbol), _whole(fold, "fold")), {})[_whole(seed, "seed")] = slice(start, stop)
    return paths


def _whole(value: object, column: str) -> int:
    """A fold or a seed as a number."""
    try:
        return int(value)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        raise LedgerError(f"column '{column}' holds {value!r}: number folds and seeds, 0 where there is one") from None


def _check_seeds(name: str, rows: pd.DataFrame, paths: Mapping[Part, Mapping[int, slice]]) -> None:
    """Every seed has every (symbol, fold), over the same bars, each bar once."""
    times = _times(rows)
    every = sorted({seed for seeds in paths.values() for seed in seeds})
    for (symbol, fold), seeds in paths.items():
        where = f"{symbol} in fold {fold}"
        lacking = [seed for seed in every if seed not in seeds]
        if lacking:
            raise LedgerError(
                f"{name}: seed {lacking[0]} lacks {where}, which seed {min(seeds)} has: {REMEDY}, all seeds"
            )
        first = times[seeds[every[0]]]
        if (np.diff(first) <= 0).any():
            row = int((np.diff(first) <= 0).argmax()) + 1
            raise LedgerError(
                f"{name}: {where}, seed {every[0]}: bar {pd.Timestamp(first[row], tz='UTC')} stands twice"
            )
        for seed in every[1:]:
            if not np.array_equal(times[seeds[seed]], first):
                raise LedgerError(f"{name}: seeds {every[0]} and {seed} cover different bars of {where}: {REMEDY}")


def check_pair(a: ArmLedger, b: ArmLedger) -> None:
    """Hold two arms to the same symbols, folds and bars.

    Raises:
        LedgerError: names the first symbol and fold that one arm lacks or has other bars of.
    """
    for one, other in ((a, b), (b, a)):
        lost = [part for part in one.paths if part not in other.paths]
        if lost:
            symbol, fold = lost[0]
            raise LedgerError(
                f"the arms cover different symbols or folds: {other.name} lacks {symbol} in fold {fold}: {REMEDY}"
            )
    times = [_times(ledger.rows) for ledger in (a, b)]
    for part, seeds in a.paths.items():
        first_a, first_b = next(iter(seeds.values())), next(iter(b.paths[part].values()))
        if not np.array_equal(times[0][first_a], times[1][first_b]):
            raise LedgerError(f"the arms cover different bars of {part[0]} in fold {part[1]}: {REMEDY}")


def check_same_seeds(a: ArmLedger, b: ArmLedger) -> None:
    """Hold two learned arms to the same seeds; an arm with one seed is a rule and meets all.

    Raises:
        LedgerError: both have several seeds and one lacks a seed; names it.
    """
    if min(len(a.seeds), len(b.seeds)) < 2:
        return
    for one, other in ((a, b), (b, a)):
        lost = sorted(one.seeds - other.seeds)
        if lost:
            raise LedgerError(
                f"{other.name} lacks seed {lost[0]}, which {one.name} has: compare all declared seeds of both"
            )


def check_signals(trades_a: pd.DataFrame, trades_b: pd.DataFrame) -> None:
    """Hold two arms to one signal: neither takes another side of the same decision, nor holds against the other.

    Args:
        trades_a, trades_b: columns TRADE_KEYS, as in columns.TRADE_COLUMNS; any number of seeds.
    Raises:
        LedgerError: a column is missing, or the sides differ; names the decision or the trade.
    """
    for trades in (trades_a, trades_b):
        missing = [column for column in TRADE_KEYS if column not in trades.columns]
        if missing:
            raise LedgerError(f"trades: column '{missing[0]}' is missing: give columns {', '.join(TRADE_KEYS)}")
    a, b = (trades[list(TRADE_KEYS)].drop_duplicates() for trades in (trades_a, trades_b))
    typed = [part.assign(symbol=part["symbol"].astype(str)) for part in (a, b)]
    keys = ["symbol", "fold", "decision_id"]
    both = typed[0][[*keys, "side"]].merge(typed[1][[*keys, "side"]], on=keys, suffixes=("_a", "_b"))
    odd = both[both["side_a"] != both["side_b"]]
    if len(odd):
        raise LedgerError(
            f"the arms follow different signals: they took opposite sides of {odd['decision_id'].iloc[0]} in fold "
            f"{odd['fold'].iloc[0]}: compare arms that size one signal"
        )
    for (symbol, fold, side), part in typed[0].groupby(["symbol", "fold", "side"]):
        other = typed[1]
        against = other[(other["symbol"] == symbol) & (other["fold"] == fold) & (other["side"] != side)]
        entries, exits = (np.sort(against[name].to_numpy()) for name in ("entry_time", "exit_time"))
        begun = np.searchsorted(entries, part["exit_time"].to_numpy(), side="left")
        ended = np.searchsorted(exits, part["entry_time"].to_numpy(), side="right")
        if (begun > ended).any():
            entry = part["entry_time"].iloc[int((begun > ended).argmax())]
            raise LedgerError(
                f"the arms follow different signals: in {symbol} fold {fold} one holds against the other's trade entered "
                f"{entry}: compare arms that size one signal"
            )


def find_breaches(ledger: ArmLedger, trades: pd.DataFrame | None, ruin_frac: float) -> list[str]:
    """What voids a verdict on this arm, a sentence each, without a full stop; none is the rule.

    A path that falls to `ruin_frac` of its start is ruined: the account trades no more, and its later days are not the
    arm's. A path is frozen if its equity stands still for the last half of its bars or longer while it holds a position.
    Without a column position_frac its trades tell whether it did; without trades nothing does, and a path that moved before
    is said to stand still and no more. A path that holds nothing has chosen a size of 0, and is sound.

    Args:
        trades: the arm's, with columns symbol, fold, seed, exit_time.
    """
    rows = ledger.rows
    equity, times = rows["equity"].to_numpy(dtype=np.float64), _times(rows)
    position = rows["position_frac"].to_numpy() if "position_frac" in rows.columns else None
    exits = None if trades is None else _last_exits(trades)
    ruined, frozen = [], []
    for (symbol, fold), seeds in ledger.paths.items():
        for seed, part in seeds.items():
            path, key = equity[part], (symbol, fold, seed)
            if path.min() <= ruin_frac * path[0]:
                ruined.append(key)
            moved = np.flatnonzero(path != path[-1])
            start = int(moved[-1]) + 1 if len(moved) else 0
            if 2 * start > len(path):
                continue
            # Rows may be days: what left in the course of one is gone by the next.
            if position is not None:
                holds = bool((position[part][start + 1 :] != 0.0).any())
            elif exits is not None:
                holds = exits.get(key, 0) > times[part][min(start + 1, len(path) - 1)]
            else:
                holds = start > 0
            if holds:
                frozen.append(key)
    total = sum(map(len, ledger.paths.values()))
    found = []
    if ruined:
        found.append(f"{ledger.name} falls to {ruin_frac:.0%} of its start or below{_where(ruined, total)}")
    if frozen:
        still = "stands still" if position is None and trades is None else "stands still while it holds a position"
        unknown = "; no positions or trades tell whether it held one" if position is None and trades is None else ""
        found.append(f"the equity of {ledger.name} {still}{_where(frozen, total)}{unknown}")
    return found


def _last_exits(trades: pd.DataFrame) -> dict[tuple[str, int, int], int]:
    """The last exit of each path that has trades, ns."""
    times = pd.DatetimeIndex(trades["exit_time"]).as_unit("ns").asi8
    last = pd.Series(times).groupby([trades[key].astype(str).to_numpy() for key in PATH]).max()
    keys = zip(*(last.index.get_level_values(level) for level in range(3)), strict=True)
    return {
        (str(symbol), int(fold), int(seed)): int(time) for (symbol, fold, seed), time in zip(keys, last, strict=True)
    }


def _where(keys: list[tuple[str, int, int]], total: int) -> str:
    """The paths that something is said of; nothing of a series, which is one path without a name."""
    symbol, fold, seed = keys[0]
    return "" if symbol == BARE else f" in {len(keys)} of {total} paths (first {symbol}, fold {fold}, seed {seed})"
