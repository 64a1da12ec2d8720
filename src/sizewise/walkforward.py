"""Every arm over every fold's test slice: paths, their ledgers, and the files that hold them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from sizewise import backtest, config
from sizewise.agent import Agent, PolicySizer
from sizewise.backtest import PathLedger
from sizewise.confidence import confidence_column
from sizewise.errors import DataMissingError
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
    folds: Sequence[Fold],
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
    """Writes equity.parquet and trades.parquet of one split scheme, path after path; both appear whole at the end."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._equity: list[pa.Table] = []
        self._trades: list[pd.DataFrame] = []

    def add(self, equity: pd.DataFrame, trades: pd.DataFrame) -> None:
        """Keep one path's rows."""
        self._equity.append(pa.Table.from_pandas(_categorical(equity), preserve_index=False))
        if len(trades):
            self._trades.append(trades)

    def close(self) -> None:
        """Write both files."""
        table = pa.concat_tables(self._equity).unify_dictionaries()
        empty = pd.DataFrame(columns=list(TRADE_COLUMNS))
        trades = _categorical(pd.concat(self._trades, ignore_index=True) if self._trades else empty)
        write_atomically(self._folder / EQUITY, lambda path: pq.write_table(table, path, compression="zstd"))
        write_atomically(self._folder / TRADES, lambda path: trades.to_parquet(path, compression="zstd", index=False))


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
