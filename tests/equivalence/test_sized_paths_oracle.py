"""Growth from unit gains at the days' ends against the walk over every bar: signals, turns, costs and fold ends alike."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
import torch

from sizewise.dataset.market_tensor import Market
from sizewise.ledgers.metrics import daily_returns, portfolio
from sizewise.params.trading.account import Account
from sizewise.params.trading.world import World
from sizewise.sizing.opportunities import find_opportunities
from sizewise.sizing.sizers import AT_MARKET, Situation, follow_signal
from sizewise.sizing.walks import backtest
from sizewise.sizing.walks.held_paths import UnitPaths, market_quotes, portfolio_growth, trades_of, unit_paths
from sizewise.walkforward.walk import run_rule

from ..hand_market import make_market, remade


@dataclass(frozen=True)
class SizesByRow:
    """A size for each row of the market."""

    sizes: torch.Tensor
    uses = AT_MARKET

    def orders(self, decision: Situation) -> torch.Tensor:
        return follow_signal(self.sizes[decision.rows], decision, 1e9)


def paths_of(market: Market, start: int, stop: int) -> tuple[UnitPaths, np.ndarray]:
    """Unit paths of rows [start, stop) and the rows that decide its trades."""
    direction, entry = (column.numpy()[start:stop, None] for column in (market.direction, market.entry))
    trades = trades_of(direction, entry)
    return unit_paths(market_quotes(market, start, stop), trades), start + trades.entry[:, 0]


def walked(market: Market, bounds: list[tuple[int, int]], sizes: np.ndarray, account: Account) -> list[pd.Series]:
    """Daily log growth of each path from the walk over bars."""
    starts, lengths = (torch.tensor(list(values)) for values in zip(*((a, b - a) for a, b in bounds), strict=True))
    none = torch.zeros((1, len(market.close)))
    which = torch.zeros(len(bounds), dtype=torch.int64)
    ledger = backtest.run(market, starts, lengths, none, which, SizesByRow(torch.from_numpy(sizes)), account)
    found = []
    for path, (start, stop) in enumerate(bounds):
        log = np.log(ledger.equity[: stop - start, path].numpy())
        day = market.times[start:stop].floor("D")
        found.append(pd.Series(np.diff(log, prepend=log[0])).groupby(day).sum())
    return found


def test_a_rule_on_real_bars(quick):
    market = quick.market.to("cpu", torch.float64)
    folds, account, arm = quick.folds["rolling"], quick.params.account, quick.params.arms["atr"]
    # Whole ticks and lots are no part of what is linear in a size.
    plain = quick.params.rules.model_copy(update={"rounding": False})
    run = run_rule(market, "atr", arm, folds, replace(World.of(quick.params), rules=plain))
    rows = []
    for path, key in enumerate(run.keys):
        part = slice(key.start_row, key.start_row + key.length)
        rows.append(
            pd.DataFrame(
                {
                    "symbol": key.symbol,
                    "fold": key.fold,
                    "seed": 0,
                    "timestamp": market.times[part],
                    "equity": run.ledger.equity[: key.length, path].numpy(),
                }
            )
        )
    expected = portfolio(daily_returns(pd.concat(rows, ignore_index=True)))
    paths, growth = [], []
    for key in run.keys:
        one, decided = paths_of(market, key.start_row, key.start_row + key.length)
        sizes = np.minimum(arm.risk_frac / (arm.stop_atr * market.atr_frac.numpy()[decided]), account.max_position_frac)
        paths.append(one)
        growth.append(one.growth(sizes[:, None]))
    found = portfolio_growth(paths, growth)
    assert found.shape == (len(expected), 1)
    np.testing.assert_allclose(found[:, 0], expected.to_numpy(), rtol=0.0, atol=1e-12)
    assert expected.abs().max() > 1e-4


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_turns_shorts_and_every_cost(seed, params):
    """Random directions turn, end with the slice and begin inside it; sizes differ in each trade and replication."""
    market = make_market(400, symbols=2, seed=seed)
    rng = np.random.default_rng(seed)
    rates = np.column_stack([rng.uniform(0.0, 2e-3, (800, 3)), rng.normal(0.0, 1e-4, 800)])
    market = remade(market, rates=torch.from_numpy(rates))
    bounds, replications = [(3, 391), (400, 800), (410, 417)], 3
    # Below 1: a cash account buys no more than it has.
    sizes = rng.uniform(0.0, 0.9, (replications, 800))
    account = params.account.model_copy(update={"ruin_frac": 1e-6})
    for start, stop in bounds:
        paths, decided = paths_of(market, start, stop)
        found = paths.growth(sizes[:, decided].T)
        for replication in range(replications):
            (expected,) = walked(market, [(start, stop)], sizes[replication], account)
            np.testing.assert_allclose(found[:, replication], expected.to_numpy(), rtol=0.0, atol=1e-12)
    assert paths_of(market, 3, 391)[0].turns.sum() > 3


def test_unit_returns_are_the_opportunities(quick):
    market = quick.market.to("cpu", torch.float64)
    (symbol, part), *_ = quick.folds["rolling"][0].test.items()
    found = find_opportunities(market, {symbol: part})
    paths, decided = paths_of(market, *market.rows(symbol, part))
    finished = np.isin(decided, found.entry_row)
    np.testing.assert_array_equal(decided[finished], found.entry_row)
    np.testing.assert_allclose(paths.unit_return[finished, 0], found.unit_return, rtol=0.0, atol=1e-14)


def test_replications_with_trades_of_their_own_are_as_if_alone():
    """Columns with unlike numbers of trades are padded; each must be what it is by itself."""
    market, rng = make_market(300, seed=5), np.random.default_rng(5)
    quotes = market_quotes(market, 0, 300)
    streams = [make_market(300, seed=seed) for seed in (6, 7, 8)]
    direction = np.column_stack([one.direction.numpy() for one in streams])
    entry = np.column_stack([one.entry.numpy() for one in streams])
    entry[:, 1] &= rng.random(300) < 0.5
    together = unit_paths(quotes, trades_of(direction, entry))
    sizes = rng.uniform(0.1, 0.5, together.real.shape)
    growth = together.growth(sizes)
    counts = together.real.sum(axis=0)
    assert len(set(counts.tolist())) > 1
    for column, count in enumerate(counts):
        alone = unit_paths(quotes, trades_of(direction[:, [column]], entry[:, [column]]))
        np.testing.assert_array_equal(alone.growth(sizes[:count, [column]])[:, 0], growth[:, column])
