"""Every arm over every fold's test slice: paths, their ledgers, and the files that hold them."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from sizewise import backtest, config
from sizewise.agent import Agent, PolicySizer
from sizewise.backtest import PathLedger
from sizewise.confidence import confidence_column
from sizewise.cpcv import Division
from sizewise.daily import DAILY, day_rows
from sizewise.errors import DataMissingError, LedgerError
from sizewise.ledger import EQUITY_COLUMNS, TRADE_COLUMNS, PathKey, check_adds_up, equity_frame, trades_frame
from sizewise.market import Market, fold_confidence
from sizewise.observation import MarketView
from sizewise.paths import write_atomically
from sizewise.regimes import LABELS
from sizewise.sizers import Sizer, rule_sizer
from sizewise.splits import Fold
from sizewise.trades import Prices

# A rule has no randomness; its one path stands under this seed.
RULE_SEED = 0
EQUITY, TRADES = "equity.parquet", "trades.parquet"
# Rows that are held before they are written: a row group of the file.
GROUP_ROWS = 1_000_000


@dataclass(frozen=True)
class ArmRun:
    """An arm's out-of-sample paths, one a fold, symbol and seed."""

    arm: str
    keys: tuple[PathKey, ...]
    ledger: PathLedger


def paths_of(arm: str, folds: Sequence[Fold], seeds: Sequence[int], market: Market) -> tuple[PathKey, ...]:
    """Every test slice of every fold, once a seed."""
    keys = []
    for fold in folds:
        for symbol, part in fold.test.items():
            start, stop = market.rows(symbol, part)
            for seed in seeds:
                keys.append(PathKey(arm, symbol, fold.number, seed, start, stop - start, confidence_column(fold)))
    return tuple(keys)


def walk(market: Market, keys: Sequence[PathKey], sizer: Sizer, account: config.Account) -> PathLedger:
    """Trade the paths of `keys` with one sizer, each reading the confidence of its own fold."""
    names = sorted({key.confidence_column for key in keys})
    table = torch.stack([market.confidence[name] for name in names])
    of_path = torch.tensor([names.index(key.confidence_column) for key in keys])
    starts = torch.tensor([key.start_row for key in keys])
    lengths = torch.tensor([key.length for key in keys])
    return backtest.run(market, starts, lengths, table, of_path, sizer, account)


def run_rule(market: Market, name: str, arm: config.Arm, folds: Sequence[Fold], account: config.Account) -> ArmRun:
    """Walk a rule arm over all folds at once. `market`: float64."""
    keys = paths_of(name, folds, [RULE_SEED], market)
    return ArmRun(name, keys, walk(market, keys, rule_sizer(arm, account), account))


def run_policies(
    market: Market,
    name: str,
    folds: Sequence[Fold],
    agents: Mapping[tuple[int, int], Agent],
    seeds: Sequence[int],
    account: config.Account,
) -> ArmRun:
    """Walk a learned arm over all folds and seeds at once, each path by the policy of its own fold and seed.

    Args:
        agents: by (fold number, seed).
    Raises:
        DataMissingError: a policy is missing.
    """
    keys = paths_of(name, folds, seeds, market)
    return ArmRun(name, keys, walk(market, keys, policies_sizer(market, name, keys, folds, agents), account))


def policies_sizer(
    market: Market,
    name: str,
    keys: Sequence[PathKey],
    folds: Sequence[Division],
    agents: Mapping[tuple[int, int], Agent],
) -> PolicySizer:
    """Each path by the policy of its own fold and seed.

    Raises:
        DataMissingError: a policy is missing.
    """
    population = list(agents)
    missing = [(key.fold, key.seed) for key in keys if (key.fold, key.seed) not in agents]
    if missing:
        raise DataMissingError(
            f"arm {name}: no policy for fold {missing[0][0]}, seed {missing[0][1]}: run `dvc repro train`"
        )
    by_fold = {fold.number: fold for fold in folds}
    members = [agents[key] for key in population]
    confidence = [fold_confidence(market, by_fold[fold]) for fold, _ in population]
    view = MarketView(market, confidence, [agent.scalers for agent in members], members[0].spec.window_bars)
    return PolicySizer(
        market,
        members,
        view,
        policy_of_path=torch.tensor([population.index((key.fold, key.seed)) for key in keys]),
        start_rows=torch.tensor([key.start_row for key in keys]),
        lengths=torch.tensor([key.length for key in keys]),
        symbols=torch.tensor([market.symbols.index(key.symbol) for key in keys]),
    )


def frames(
    run: ArmRun, market: Market, prices: Prices, *, stop_atr: float
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """(equity rows, trades) of each path of a run; every path is checked to add up on the way."""
    for path, key in enumerate(run.keys):
        equity = equity_frame(key, path, run.ledger, market)
        check_adds_up(equity)
        yield equity, trades_frame(key, path, run.ledger, market, prices, stop_atr=stop_atr)


class LedgerWriter:
    """Writes the ledgers of one split scheme, by bar, by day and by trade, path after path; all appear whole at the end."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._equity, self._days = _Spool(), _Spool()
        self._trades: list[pd.DataFrame] = []

    def add(self, equity: pd.DataFrame, trades: pd.DataFrame) -> None:
        """Keep one path's rows."""
        self._equity.add(pa.Table.from_pandas(_categorical(equity), preserve_index=False))
        self._days.add(pa.Table.from_pandas(day_rows(equity), preserve_index=False))
        if len(trades):
            self._trades.append(trades)

    def close(self) -> None:
        """Write the files."""
        empty = pd.DataFrame(columns=list(TRADE_COLUMNS))
        trades = _categorical(pd.concat(self._trades, ignore_index=True) if self._trades else empty)
        self._equity.close(self._folder / EQUITY)
        self._days.close(self._folder / DAILY)
        write_atomically(self._folder / TRADES, lambda path: trades.to_parquet(path, compression="zstd", index=False))


class _Spool:
    """Rows of one parquet file: compressed into an unnamed file as they come, so that memory holds few of them."""

    def __init__(self) -> None:
        self._parts: list[pa.Table] = []
        self._rows = 0
        self._file: IO[bytes] | None = None
        self._writer: pq.ParquetWriter | None = None

    def add(self, table: pa.Table) -> None:
        self._parts.append(table)
        self._rows += len(table)
        if self._rows >= GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._parts:
            return
        table = pa.concat_tables(self._parts).unify_dictionaries()
        if self._writer is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 (it outlives this call)
            self._writer = pq.ParquetWriter(self._file, table.schema, compression="zstd")
        self._writer.write_table(table)
        self._parts, self._rows = [], 0

    def close(self, target: Path) -> None:
        """Put the file in place, whole."""
        self._flush()
        if self._writer is None or self._file is None:
            raise LedgerError(f"{target.name} would have no rows: walk at least one path")
        with self._file as spooled:
            self._writer.close()
            spooled.seek(0)
            write_atomically(target, partial(_copy, spooled))


def _copy(source: IO[bytes], path: Path) -> None:
    with path.open("wb") as target:
        shutil.copyfileobj(source, target)


def _categorical(frame: pd.DataFrame) -> pd.DataFrame:
    typed = {name: frame[name].astype("category") for name in ("arm", "symbol")}
    return frame.assign(**typed, regime=pd.Categorical(frame["regime"], categories=list(LABELS)))


def read_equity(
    folder: Path, *, columns: Sequence[str] = EQUITY_COLUMNS, arms: Sequence[str] | None = None
) -> pd.DataFrame:
    """The equity ledger, or the named columns and arms of it.

    Raises:
        DataMissingError: the walk_forward stage has not run.
    """
    path = folder / EQUITY
    if not path.is_file():
        raise DataMissingError(f"{EQUITY} is missing from artifacts/ledger: run `dvc repro walk_forward`")
    filters = None if arms is None else [("arm", "in", list(arms))]
    return pd.read_parquet(path, columns=list(columns), filters=filters)


def read_trades(folder: Path) -> pd.DataFrame:
    """The ledger of closed trades.

    Raises:
        DataMissingError: the walk_forward stage has not run.
    """
    path = folder / TRADES
    if not path.is_file():
        raise DataMissingError(f"{TRADES} is missing from artifacts/ledger: run `dvc repro walk_forward`")
    return pd.read_parquet(path)
