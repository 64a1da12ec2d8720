"""Arms over the folds' test slices: paths, and their ledgers as rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import pandas as pd
import torch

from sizewise.base.errors import DataMissingError, LedgerError
from sizewise.dataset.clock import decision_rows
from sizewise.dataset.confidence import confidence_column
from sizewise.dataset.joint import members_of
from sizewise.dataset.market_tensor import Market, seen_confidence
from sizewise.dataset.regimes import LABELS
from sizewise.dataset.splits import Division, Fold
from sizewise.learning.ppo.agent import Agent, PolicySizer
from sizewise.learning.ppo.encoders import MarketView
from sizewise.ledgers.columns import EQUITY_COLUMNS, EVENT_COLUMNS, FLOWS, TRADE_COLUMNS, check_adds_up
from sizewise.ledgers.weights import mark_assets
from sizewise.params.arms import Arm
from sizewise.params.trading.world import World
from sizewise.sizing.multiples import rules_of
from sizewise.sizing.scaled import ScaledSizer
from sizewise.sizing.sizers import Sizer, rule_sizer
from sizewise.sizing.walks import backtest, day_marks
from sizewise.sizing.walks.backtest import PathLedger
from sizewise.sizing.walks.day_marks import DayMarks
from sizewise.trading.broker.orders import Kind
from sizewise.trading.schemes.values import position_limit_frac
from sizewise.trading.trades import Trade, shared_carry, trades_of_path


@dataclass(frozen=True)
class PathKey:
    """Which path of a ledger this is, and where it lies in the market tensor."""

    arm: str
    symbol: str
    fold: int
    seed: int
    start_row: int
    length: int
    confidence_column: str


def equity_frame(key: PathKey, path: int, ledger: PathLedger, market: Market) -> pd.DataFrame:
    """One path as rows of the equity ledger (EQUITY_COLUMNS), oldest first.

    Flows are signed contributions to equity of the step that ends at the row: equity_t - equity_{t-1} is their sum.
    `regime` is the label the step is counted under (market_tensor.entry_regime at the decision), categories LABELS. The
    frame knows the market's assets, see ledgers.weights.
    """
    rows = slice(key.start_row, key.start_row + key.length)
    cut = slice(0, key.length)
    equity = ledger.equity[cut, path].cpu().numpy().astype(np.float64)
    position = ledger.position[cut, path].cpu().numpy().astype(np.float64)
    flows = (getattr(ledger, "price" if name == FLOWS[0] else name) for name in FLOWS)
    codes = market.regime[rows].cpu().numpy()
    # A step that ends at row t was decided at row t - 1.
    codes = np.concatenate([codes[:1], codes[:-1]])
    frame = pd.DataFrame(
        {
            "arm": key.arm,
            "symbol": key.symbol,
            "fold": np.int16(key.fold),
            "seed": np.int64(key.seed),
            "timestamp": market.times[rows],
            "equity": equity,
            "position_frac": position / equity,
            **{name: flow[cut, path].cpu().numpy().astype(np.float64) for name, flow in zip(FLOWS, flows, strict=True)},
            "regime": pd.Categorical.from_codes(codes, categories=list(LABELS)),  # type: ignore[call-overload]
            "day_trades_left": ledger.day_trades_left[cut, path].cpu().numpy(),
        }
    )
    return mark_assets(frame[list(EQUITY_COLUMNS)], market.assets)


def trades_frame(
    key: PathKey,
    path: int,
    ledger: PathLedger,
    market: Market,
    fills: pd.DataFrame,
    *,
    stop_atr: float,
) -> pd.DataFrame:
    """The closed trades of one path (TRADE_COLUMNS), oldest first; see trades.trades_of_fills for their figures.

    Where several symbols share the account, those of one symbol after those of another. `decision_id` names the symbol
    and the close that decided the trade, so that arms that followed the same signal can be matched. `stop_distance`:
    `stop_atr` average true ranges at the decision, quote currency. `r_multiple`: pnl / (qty * stop_distance), net; NaN
    while ATR is not warm. `regime`, `confidence`: at the decision.
    """
    n, first = key.length, key.start_row

    def column(values: torch.Tensor) -> np.ndarray:
        return values[:n, path].cpu().numpy().astype(np.float64)

    carry = column(ledger.borrow) + column(ledger.funding) + column(ledger.liquidation)
    fills = fills[fills["step"] < n].rename(columns={"step": "row"})
    close = market.tape.column("close")[first : first + n].cpu().numpy()
    shared = shared_carry(fills["row"], fills["instrument"], fills["units"], close, carry)
    parts = [
        _instrument_trades(key, symbol, own, fills[fills["instrument"] == number], shared[:, number], stop_atr)
        for number, (symbol, own) in enumerate(zip(members_of(key.symbol), market.instruments, strict=True))
    ]
    return parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)


def _instrument_trades(
    key: PathKey, symbol: str, market: Market, fills: pd.DataFrame, carry: np.ndarray, stop_atr: float
) -> pd.DataFrame:
    """Those of one symbol of a path, from its own market's rows."""
    rows = slice(key.start_row, key.start_row + key.length)

    def at(values: torch.Tensor) -> np.ndarray:
        return values[rows].cpu().numpy()

    high, low, close = (at(market.tape.column(name)[:, 0]) for name in ("high", "low", "close"))
    at_open = (fills["kind"] == int(Kind.MARKET)).to_numpy()
    found = trades_of_path(fills, at_open, high, low, close, carry)
    if any(trade.exit_row is None for trade in found):
        raise LedgerError(f"ledger {key.arm} {symbol} fold {key.fold}: a trade is still open at the path's end")
    trades = pd.DataFrame([vars(trade) for trade in found], columns=[field.name for field in fields(Trade)])
    entry, leave = trades["entry_row"].to_numpy(dtype=np.int64), trades["exit_row"].to_numpy(dtype=np.int64)
    decided = np.maximum(entry - 1, 0)
    times = market.times[rows]
    stop = stop_atr * at(market.atr_frac).astype(np.float64)[decided] * close[decided]
    risk = trades["qty"].to_numpy(dtype=np.float64) * stop
    pnl = trades["pnl"].to_numpy(dtype=np.float64)
    extra = {
        "arm": key.arm,
        "symbol": key.symbol,
        "fold": np.int16(key.fold),
        "seed": np.int64(key.seed),
        "decision_id": [f"{symbol}@{time:%Y%m%dT%H%M}" for time in times[decided]],
        "entry_time": times[entry],
        "exit_time": times[leave],
        "stop_distance": stop,
        "r_multiple": np.divide(pnl, risk, out=np.full(len(pnl), np.nan), where=risk > 0),
        "regime": np.array(LABELS, dtype=object)[at(market.regime)[decided]],
        "confidence": at(market.confidence[key.confidence_column])[decided],
    }
    return trades.assign(**extra)[list(TRADE_COLUMNS)]


# What sizes are multiplied by, so that an arm's risk is matched, by (fold, symbol, seed).
Factors = Mapping[tuple[int, str, int], float]
# A rule has no randomness; its one path stands under this seed.
RULE_SEED = 0
# Rows of paths (as many as the longest of them has, each) that walk side by side: bounds the memory of their ledgers.
SIDE_BY_SIDE = 4_000_000


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


def walk(
    market: Market,
    keys: Sequence[PathKey],
    sizer: Sizer,
    world: World,
    *,
    follows_signal: bool = True,
    record: bool = False,
    initial_equity: torch.Tensor | None = None,
) -> PathLedger:
    """Trade the paths of `keys` with one sizer in one world, each reading the confidence of its own fold.

    Args:
        follows_signal: the sizer decides while a trade of the signal is on, see clock.decision_rows. record: keep fills.
        initial_equity: of each path, quote currency, (P,); None: the account's.
    """
    return backtest.run(
        market,
        *_slices(market, keys),
        sizer,
        world.account,
        world.rules,
        decides=decision_rows(market, world.decisions, follows_signal=follows_signal),
        record=record,
        initial_equity=initial_equity,
    )


def walk_days(
    market: Market, keys: Sequence[PathKey], sizer: Sizer, world: World, *, follows_signal: bool = True
) -> DayMarks:
    """The same accounts, marked at the end of every day alone; see sizing.walks.day_marks."""
    decides = decision_rows(market, world.decisions, follows_signal=follows_signal)
    return day_marks.run(market, *_slices(market, keys), sizer, world.account, world.rules, decides=decides)


def _slices(market: Market, keys: Sequence[PathKey]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Start rows, lengths, the folds' confidence, and which of it each path reads; see backtest.run."""
    names = sorted({key.confidence_column for key in keys})
    table = torch.stack([market.confidence[name] for name in names])
    of_path = torch.tensor([names.index(key.confidence_column) for key in keys])
    starts = torch.tensor([key.start_row for key in keys])
    return starts, torch.tensor([key.length for key in keys]), table, of_path


def run_rule(market: Market, name: str, arm: Arm, folds: Sequence[Fold], world: World) -> ArmRun:
    """Walk a rule arm over all folds at once. `market`: float64."""
    keys = paths_of(name, folds, [RULE_SEED], market)
    sizer = rule_sizer(arm, world.account)
    return ArmRun(name, keys, walk(market, keys, sizer, world, follows_signal=arm.follows_signal, record=True))


def run_policies(
    market: Market,
    name: str,
    folds: Sequence[Fold],
    agents: Mapping[tuple[int, int], Agent],
    seeds: Sequence[int],
    world: World,
    factors: Factors | None = None,
) -> ArmRun:
    """Walk a learned arm over all folds and seeds at once, each path by the policy of its own fold and seed.

    Args:
        agents: by (fold number, seed). factors: what their sizes are multiplied by; None: by nothing.
    Raises:
        DataMissingError: a policy is missing.
    """
    keys = paths_of(name, folds, seeds, market)
    first = next(iter(agents.values()))
    # A policy decides by the clock that it was trained by.
    under = replace(world, rules=rules_of(first.scheme, world.rules), decisions=first.world.decisions)
    decides = decision_rows(market, under.decisions, follows_signal=first.follows_signal)
    sizer: Sizer = policies_sizer(market, name, keys, folds, agents, decides)
    if factors is not None:
        sizer = scaled_sizer(sizer, of_paths(factors, keys), world)
    return ArmRun(name, keys, walk(market, keys, sizer, under, follows_signal=first.follows_signal, record=True))


def of_paths(factors: Factors, keys: Sequence[PathKey]) -> torch.Tensor:
    """The factor of each path, float64 (P,); 1 where the fold does not train on its symbol."""
    return torch.tensor([factors.get((key.fold, key.symbol, key.seed), 1.0) for key in keys], dtype=torch.float64)


def scaled_sizer(sizer: Sizer, factor: torch.Tensor, world: World) -> Sizer:
    """A sizer on paths, its sizes times the paths' factors, float64 (P,)."""
    if bool((factor == 1.0).all()):
        return sizer
    return ScaledSizer(sizer, factor, position_limit_frac(world.account))


def policies_sizer(
    market: Market,
    name: str,
    keys: Sequence[PathKey],
    folds: Sequence[Division],
    agents: Mapping[tuple[int, int], Agent],
    decides: torch.Tensor | None = None,
) -> PolicySizer:
    """Each path by the policy of its own fold and seed.

    Args:
        decides: bool (R,), the only rows at which it will be asked, see clock.decision_rows; None: at any.
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
    confidence = [seen_confidence(market, by_fold[fold]) for fold, _ in population]
    view = MarketView(market, confidence, [agent.scalers for agent in members], *_seen(members[0]))
    return PolicySizer(
        market,
        members,
        view,
        policy_of_path=torch.tensor([population.index((key.fold, key.seed)) for key in keys]),
        start_rows=torch.tensor([key.start_row for key in keys]),
        lengths=torch.tensor([key.length for key in keys]),
        symbols=torch.tensor([market.symbols.index(key.symbol) for key in keys]),
        decides=decides,
    )


def _seen(agent: Agent) -> tuple[int, tuple[str, ...] | None]:
    return agent.spec.window_bars, agent.spec.inputs


def events_frame(run: ArmRun, market: Market) -> pd.DataFrame:
    """What the venue did to the orders and positions of a run (EVENT_COLUMNS), path after path, oldest first."""
    events, keys = run.ledger.events, pd.DataFrame([vars(key) for key in run.keys])
    of = keys.iloc[events["path"].to_numpy()].reset_index(drop=True)
    rows = of["start_row"].to_numpy(dtype=np.int64) + events["step"].to_numpy(dtype=np.int64)
    named = {name: of[name] for name in ("arm", "symbol", "fold", "seed")}
    return pd.DataFrame({**named, "timestamp": market.times[rows], "event": events["event"].to_numpy()})[
        list(EVENT_COLUMNS)
    ]


def frames(run: ArmRun, market: Market, *, stop_atr: float) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """(equity rows, trades) of each path of a run; every path is checked to add up on the way."""
    fills = dict(iter(run.ledger.fills.groupby("path", sort=False)))
    none = run.ledger.fills.iloc[:0]
    for path, key in enumerate(run.keys):
        equity = equity_frame(key, path, run.ledger, market)
        check_adds_up(equity)
        yield equity, trades_frame(key, path, run.ledger, market, fills.get(path, none), stop_atr=stop_atr)
