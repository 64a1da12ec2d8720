"""How long a full evaluation takes and how much memory it needs: many arms, folds and seeds on the real bars' prices.

The ledgers are made up: positions are drawn, prices and times are the real bars'. Nothing here says what any rule earns.

`python -m sizewise.bench_evidence` writes metrics/bench_evidence.json.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sizewise import comparison, config, daily, mean_tests, overfitting, slice_effects
from sizewise.bench import describe_machine
from sizewise.commands import exit_status
from sizewise.feature_store import Universe, read_universe
from sizewise.field_tests import mcs, spa
from sizewise.ledger import EQUITY_COLUMNS, TRADE_COLUMNS
from sizewise.metrics import portfolio
from sizewise.multiple_testing import benjamini_hochberg
from sizewise.paths import Workspace, write_atomically
from sizewise.placebo import rotation_placebo
from sizewise.regimes import LABELS
from sizewise.seeding import numpy_generator
from sizewise.trials import read_ledger
from sizewise.walkforward import LedgerWriter, read_trades

FILE = "bench_evidence.json"
TRADE_BARS = 48
COST_FRAC = 0.001
STOP_FRAC = 0.02
CAP_FRAC = 0.20


@dataclass(frozen=True)
class EvidenceSizes:
    """How much is evaluated; the defaults are those of metrics/bench_evidence.json. `fold_bars`: None takes all bars."""

    arms: int = 10
    folds: int = 6
    seeds: int = 10
    draws: int = 10_000
    fold_bars: int | None = None

    @property
    def names(self) -> list[str]:
        return [f"arm {number}" for number in range(self.arms)]


@dataclass(frozen=True)
class Stretch:
    """One fold of one symbol: its bars and the signal that all arms trade.

    times: UTC. moves: float64 (n,), return of each bar. side: -1, 0, 1 (n,), held from a bar's close to the next. regime:
    codes (n,). trade: number of the trade that a bar belongs to (n,). close: (n,).
    """

    symbol: str
    fold: int
    times: pd.DatetimeIndex
    moves: np.ndarray
    side: np.ndarray
    regime: np.ndarray
    trade: np.ndarray
    close: np.ndarray


def cut_stretches(universe: Universe, sizes: EvidenceSizes) -> Iterator[Stretch]:
    """Each symbol's bars in equal folds, with a drawn signal of trades of TRADE_BARS bars."""
    for symbol, frame in universe.bars.items():
        close = frame["close"].to_numpy()
        for fold, rows in enumerate(np.array_split(np.arange(len(frame)), sizes.folds)):
            rows = rows[: sizes.fold_bars]
            rng, n = numpy_generator("bench evidence", symbol, fold), len(rows)
            trade = np.arange(n) // TRADE_BARS
            side = rng.integers(-1, 2, trade[-1] + 1)[trade].astype(np.float64)
            # Flat from the last close on, as every path ends.
            side[-2:] = 0.0
            regime = rng.integers(0, len(LABELS), trade[-1] + 1)[trade]
            moves = np.concatenate([[0.0], close[rows[1:]] / close[rows[:-1]] - 1.0])
            yield Stretch(symbol, fold, pd.DatetimeIndex(frame.index[rows]), moves, side, regime, trade, close[rows])


def made_up_path(stretch: Stretch, arm: str, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(equity rows, trades) of one path: the signal's trades at drawn sizes, at the real bars' prices."""
    rng = numpy_generator("bench evidence", arm, stretch.symbol, stretch.fold, seed)
    sizes = rng.uniform(0.02, CAP_FRAC, stretch.trade[-1] + 1)
    held = sizes[stretch.trade] * stretch.side
    before = np.concatenate([[0.0], held[:-1]])
    owner = np.concatenate([[0], stretch.trade[:-1]])
    # Both legs of a trade are charged with its first bar.
    traded = 2.0 * np.abs(before) * (np.diff(owner, prepend=-1) != 0)
    simple = before * stretch.moves - COST_FRAC * traded
    equity = 1000.0 * np.cumprod(1.0 + simple)
    base = np.concatenate([[1000.0], equity[:-1]])
    fees = -0.5 * COST_FRAC * traded * base
    values = {
        "arm": arm,
        "symbol": stretch.symbol,
        "fold": np.int16(stretch.fold),
        "seed": np.int64(seed),
        "timestamp": stretch.times,
        "equity": equity,
        "position_frac": held,
        "price_pnl": before * stretch.moves * base,
        "fees": fees,
        "slippage": fees,
        "borrow": 0.0,
        "funding": 0.0,
        "regime": pd.Categorical.from_codes(stretch.regime, categories=pd.Index(LABELS)),
    }
    pnl = np.bincount(owner, simple * base, minlength=len(sizes))
    return pd.DataFrame(values)[list(EQUITY_COLUMNS)], _trades(stretch, arm, seed, sizes, pnl)


def _trades(stretch: Stretch, arm: str, seed: int, sizes: np.ndarray, pnl: np.ndarray) -> pd.DataFrame:
    first = np.flatnonzero(np.diff(stretch.trade, prepend=-1))
    live = np.flatnonzero(stretch.side[first] != 0.0)
    entry, leave = first[live], np.minimum(first[live] + TRADE_BARS, len(stretch.times) - 1)
    price = stretch.close[entry]
    qty = 1000.0 * sizes[live] / price
    values = {
        "arm": arm,
        "symbol": stretch.symbol,
        "fold": np.int16(stretch.fold),
        "seed": np.int64(seed),
        "decision_id": [f"{stretch.symbol}@{row}" for row in entry],
        "side": stretch.side[entry].astype(np.int8),
        "entry_time": stretch.times[entry],
        "exit_time": stretch.times[leave],
        "entry_price": price,
        "exit_price": stretch.close[leave],
        "qty": qty,
        "stop_distance": STOP_FRAC * price,
        "r_multiple": pnl[live] / (qty * STOP_FRAC * price),
        "pnl": pnl[live],
        "mae_frac": 0.0,
        "mfe_frac": 0.0,
        "regime": np.array(LABELS, dtype=object)[stretch.regime[entry]],
        "confidence": 0.5,
    }
    return pd.DataFrame(values)[list(TRADE_COLUMNS)]


def write_ledgers(folder: Path, universe: Universe, sizes: EvidenceSizes) -> dict[str, int]:
    """Make up every path and write the three ledgers; returns how many paths, bars and trades."""
    writer, counts = LedgerWriter(folder), {"paths": 0, "bars": 0, "trades": 0}
    stretches = list(cut_stretches(universe, sizes))
    for arm in sizes.names:
        for stretch in stretches:
            for seed in range(1, sizes.seeds + 1):
                equity, trades = made_up_path(stretch, arm, seed)
                writer.add(equity, trades)
                for name, number in zip(counts, (1, len(equity), len(trades)), strict=True):
                    counts[name] += number
    writer.close()
    return counts


def open_study(folder: Path, params: config.Params, sizes: EvidenceSizes) -> comparison.Study:
    """The ledgers as the compare stage reads them: the second arm against the first."""
    plan = {"reference": sizes.names[0], "candidate": sizes.names[1], "bootstrap_draws": sizes.draws}
    return comparison.Study(
        plan=params.plan.model_copy(update=plan),
        arms={name: config.AtrArm(kind="atr") for name in sizes.names},
        daily=daily.read_daily(folder),
        trades=read_trades(folder),
        plan_hash="bench",
        data_hash="bench",
        trial_ledger=read_ledger(folder / "trials.jsonl"),
        splits=params.splits,
        ruin_frac=params.account.ruin_frac,
        ledger_folder=folder,
        metrics_folder=folder,
    )


def evaluations(study: comparison.Study, sizes: EvidenceSizes) -> dict[str, Callable[[], object]]:
    """Everything a report of these arms would compute, by name."""
    names, plan, days = sizes.names, study.plan, study.daily
    of_arm = {name: study.trades[study.trades["arm"] == name] for name in names}

    def tests() -> list[float]:
        compared = [replace(study, plan=plan.model_copy(update={"candidate": name})).primary() for name in names[1:]]
        return list(benjamini_hochberg(np.array([one.primary.p_value for one in compared])))

    def growth() -> pd.DataFrame:
        return pd.DataFrame({name: portfolio(daily.daily_returns(days, name)) for name in names})

    def selection() -> float:
        table = growth().dropna()
        ratios = [overfitting.moments(table[name].to_numpy()) for name in names]
        variance = float(np.var([one.sharpe for one in ratios], ddof=1))
        chosen = overfitting.cross_validated_selection(table.to_numpy(), blocks=16)
        return chosen.pbo + max(overfitting.deflated_sharpe(one, sizes.arms, variance) for one in ratios)

    def welch_tests() -> list[mean_tests.WelchTest]:
        r = {name: part["r_multiple"].to_numpy() for name, part in of_arm.items()}
        return [mean_tests.welch(r[name], r[names[0]], alpha=plan.alpha, power=plan.power) for name in names[1:]]

    def placebos() -> list[float]:
        keys = ["symbol", "fold", "decision_id"]
        size = {name: part.groupby(keys, observed=True)[["qty", "pnl"]].mean() for name, part in of_arm.items()}
        base, rng = size[names[0]], numpy_generator("bench evidence", "placebo")
        results, group = base["pnl"].to_numpy() / 1000.0, base.index.get_level_values("symbol").to_numpy()
        found = []
        for name in names[1:]:
            ratio = np.log(size[name]["qty"].to_numpy() / base["qty"].to_numpy())
            found.append(rotation_placebo(results, ratio, group, draws=sizes.draws, rng=rng).p_value)
        return found

    field = {"block_days": plan.bootstrap_block_days, "draws": sizes.draws}
    return {
        "summaries": lambda: [daily.arm_summary(days, name, part) for name, part in of_arm.items()],
        "regime_tables": lambda: [daily.regime_summary(days, name) for name in names],
        "paths": lambda: daily.path_table(days, study.ruin_frac),
        "all_tests_of_every_arm": tests,
        "regimes_of_every_arm": lambda: [
            replace(study, plan=plan.model_copy(update={"candidate": name})).regimes() for name in names[1:]
        ],
        "field": study.field,
        "by_symbol_fold_and_seed": lambda: (study.by_symbol(), study.by_fold_and_seed()),
        "heat_map": lambda: slice_effects.cells(days, plan),
        "welch": welch_tests,
        "placebo": placebos,
        "spa": lambda: spa(growth(), names[0], rng=numpy_generator("bench evidence", "spa"), **field),
        "mcs": lambda: mcs(growth(), size=0.10, rng=numpy_generator("bench evidence", "mcs"), **field),
        "selection": selection,
    }


def peak_rss_gb() -> float:
    """Most memory that this process has held so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def run_bench(universe: Universe, params: config.Params, sizes: EvidenceSizes) -> dict[str, Any]:
    """Write the ledgers into a temporary folder, evaluate them all, and return the record."""
    seconds: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = work()
        seconds[name] = round(time.perf_counter() - start, 2)
        return result

    cpu = time.process_time()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        counts = timed("write", lambda: write_ledgers(folder, universe, sizes))
        study = timed("read", lambda: open_study(folder, params, sizes))
        for name, work in evaluations(study, sizes).items():
            timed(name, work)
    return {
        "machine": describe_machine(),
        "ledgers": "made up: drawn positions at the real bars' prices and times; no arm's results",
        "arms": sizes.arms,
        "symbols": len(universe.bars),
        "folds": sizes.folds,
        "seeds": sizes.seeds,
        "bootstrap_draws": sizes.draws,
        **counts,
        "daily_rows": len(study.daily),
        "seconds": seconds,
        "wall_s": round(sum(seconds.values()), 1),
        "cpu_s": round(time.process_time() - cpu, 1),
        "peak_rss_gb": round(peak_rss_gb(), 2),
    }


def main(argv: list[str] | None = None) -> int:
    """`python -m sizewise.bench_evidence [--profile NAME]`. Exit status 2 and one line on an error."""
    parser = argparse.ArgumentParser(prog="python -m sizewise.bench_evidence", description=__doc__)
    parser.add_argument("--profile", default="full", help="parameters to overlay: tests/<profile>.yaml")
    return exit_status(lambda: _write(parser.parse_args(argv).profile))


def _write(profile: str) -> None:
    workspace = Workspace.open(profile)
    params = config.parse_params(config.read_params(workspace.root, profile))
    full = profile == "full"
    sizes = EvidenceSizes() if full else EvidenceSizes(arms=3, folds=2, seeds=2, draws=100, fold_bars=1000)
    record = run_bench(read_universe(workspace.bars, params.data), params, sizes)
    text = json.dumps(record, indent=2) + "\n"
    write_atomically(workspace.metrics / FILE, lambda path: path.write_text(text, encoding="utf-8"))
    print(text, end="")


if __name__ == "__main__":
    sys.exit(main())
