"""A market by hand on which policies of `direct` are trained and walked in a moment."""

from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from sizewise.dataset.features import NAMES
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Fold, Slice
from sizewise.learning.direct.training import DirectSettings
from sizewise.market.costs import Costs
from sizewise.params.arms import AtrArm, DirectArm
from sizewise.params.dataset.observation import Observation
from sizewise.params.learning.direct import Direct
from sizewise.params.trading.account import Account
from sizewise.params.trading.decisions import Decisions
from sizewise.params.trading.trading import Rules
from sizewise.params.trading.world import World

from .hand_market import make_market

ATR = AtrArm(kind="atr", risk_frac=0.003, stop_atr=1.0)
ARM = DirectArm(kind="direct", base=ATR)
# The standard world: much money, a cap of 1, lots of which an order is many.
WORLD = World(
    Account(initial_equity=100_000.0, safety_buffer_frac=0.0, max_position_frac=1.0),
    Rules(),
    Decisions(every="bar", count=2),
)
ROWS, NOISE = 500, 3
EASY = {"hidden": 4, "stretch": 40, "passes": 40, "learning_rate": 0.03, "validate_every": 5, "patience": 8}


def telling_market(edge: float = 0.003) -> Market:
    """Two symbols whose first feature tells whether a trade's next bars gain; three others are noise, the rest 0."""
    rng, total = np.random.default_rng(4), 2 * ROWS
    direction = np.repeat(rng.integers(-1, 2, total // 8 + 1), 8)[:total].astype(np.int8)
    known = np.repeat(rng.choice([-1.0, 1.0], total // 4 + 1), 4)[:total]
    features = np.zeros((total, len(NAMES) - 1), dtype=np.float32)
    features[:, 0] = known
    features[:, 1 : 1 + NOISE] = rng.normal(size=(total, NOISE))
    told = np.roll(direction * known, 1)
    market = make_market(
        ROWS,
        symbols=2,
        costs=Costs(taker_bps=5.0, half_spread_bps=1.0, borrow_bps_per_day=2.0),
        direction=direction,
        features=features,
        bar_return=rng.normal(0.0, 0.004, total) + edge * told,
    )
    confidence = torch.from_numpy(rng.uniform(0.3, 0.7, total).astype(np.float32))
    return replace(market, confidence={"confidence_rolling_0": confidence})


def fold_of(market: Market) -> Fold:
    """Its one fold."""
    days = (pd.Timestamp(day, tz="UTC") for day in ("2020-01-01", "2020-02-01"))
    train, test = (dict.fromkeys(market.symbols, part) for part in (Slice(20, 400), Slice(410, 490)))
    return Fold("rolling", 0, *days, train, test)


def direct_settings(**rules: object) -> DirectSettings:
    """What policies are trained with."""
    return DirectSettings(Direct(**(EASY | rules)), Observation(window_bars=1), WORLD, tail_frac=0.2, purge_bars=10)


class InPlace:
    """A pool without processes."""

    def __init__(self, shared, *, most):
        self._shared = shared

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def map(self, function, work):
        return [function(self._shared, item) for item in work]
