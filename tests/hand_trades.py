"""Planted trades, for the tests of what learns from closed ones: one visible feature tells which of them pay."""

from dataclasses import replace

import numpy as np
import torch

from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Fold, Slice
from sizewise.market.costs import Costs
from sizewise.params.learning.outcome import ClosedTrades
from sizewise.params.trading.account import Account

from .hand_market import make_market

NAMES = ("edge", "signal_confidence")
FIRST_ROW = 8
BARS_A_TRADE = 4
ACCOUNT = Account()
RULES = ClosedTrades(
    window_bars=4,
    kernel_bars=2,
    channels=8,
    hidden=16,
    flow_window_bars=2,
    flow_features=["edge"],
    learning_rate=5e-3,
    gamma=0.0,
    target_every=20,
    report_every=20,
)
# Of ten trades whose edge is up, three gain 4% and seven lose 1%: +0.5% each, though most lose. Of ten whose edge is
# down, six gain 1% and four lose 2.5%: -0.4% each, though most gain. A learner of win rates sizes them the wrong way.
UP, DOWN = np.array([0.04] * 3 + [-0.01] * 7), np.array([0.01] * 6 + [-0.025] * 4)


def planted_market(n_trades: int, *, seed: int = 0, symbols: int = 1) -> Market:
    """Trades of three bars and a flat one, without costs, `n_trades` a symbol; their edge stands at the entry alone."""
    rng = np.random.default_rng(seed)
    rows = FIRST_ROW + BARS_A_TRADE * n_trades + 2
    columns: dict[str, list[np.ndarray]] = {"bar_return": [], "direction": [], "edge": []}
    for _ in range(symbols):
        up = rng.permutation(np.arange(n_trades) % 2 == 0)
        gain = np.empty(n_trades)
        for where, moves in ((up, UP), (~up, DOWN)):
            gain[where] = rng.permutation(np.resize(moves, where.sum()))
        side = rng.choice([-1, 1], n_trades)
        entry = FIRST_ROW + BARS_A_TRADE * np.arange(n_trades)
        returns, direction, edge = np.zeros(rows), np.zeros(rows, dtype=np.int8), rng.normal(0.0, 0.1, rows)
        returns[entry + 1] = side * gain
        for k in range(BARS_A_TRADE - 1):
            direction[entry + k] = side
        edge[entry] = np.where(up, 1.0, -1.0)
        for name, values in (("bar_return", returns), ("direction", direction), ("edge", edge)):
            columns[name].append(values)
    edges = np.concatenate(columns.pop("edge"))
    given = {name: np.concatenate(values) for name, values in columns.items()}
    total = rows * symbols
    market = make_market(
        rows,
        symbols=symbols,
        costs=Costs.zero(),
        gap_return=np.zeros(total),
        elapsed_days=np.full(total, 1 / 24),
        **given,
    )
    return replace(market, features=torch.from_numpy(edges).float().unsqueeze(1))


def planted_fold(market: Market, *, train: float = 1.0) -> Fold:
    """The first share of every symbol's rows to train on, the rest to test on."""
    start, end = market.times[0], market.times[-1]
    cut = FIRST_ROW + BARS_A_TRADE * int(train * (market.n_rows[0] - FIRST_ROW) / BARS_A_TRADE)
    learn = {symbol: Slice(FIRST_ROW - 1, cut if train < 1.0 else market.n_rows[0]) for symbol in market.symbols}
    test = {symbol: Slice(cut - 1, market.n_rows[0]) for symbol in market.symbols}
    return Fold("rolling", 0, start, end, learn, test)


def even(market: Market) -> torch.Tensor:
    """A confidence that tells nothing."""
    return torch.full((len(market.features),), 0.5)
