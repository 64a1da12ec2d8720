"""The made-up market that `sizewise bench` times training on, its view, and the accounts that walk it."""

import numpy as np
import torch

from sizewise import config
from sizewise.actions import Mode
from sizewise.costs import Costs
from sizewise.env import SizingEnv
from sizewise.episodes import Ranges
from sizewise.features import NAMES, Scaler
from sizewise.market import Market
from sizewise.observation import MarketView
from sizewise.planted import SYNTHETIC, planted_market
from sizewise.seeding import numpy_generator, torch_generator

# Every cost is charged, borrow included, so that no account is cheaper to step than a real one.
COSTS = Costs(taker_bps=10.0, half_spread_bps=1.0, borrow_bps_per_day=2.0)
MARKET_TEXT = "synthetic: normal returns and features, a random signal, all costs; no market's bars"


def synthetic_market(bars: int) -> Market:
    """Made-up bars, no market's, float32; features are already scaled, and each side of the signal holds 16 bars."""
    rng = numpy_generator("bench", bars)
    gap, bar = rng.normal(0.0, 0.001, bars), rng.normal(0.0, 0.01, bars)
    direction = np.repeat(rng.integers(-1, 2, bars // 16 + 1), 16)[:bars].astype(np.int8)
    close = 100.0 * np.cumprod((1.0 + gap) * (1.0 + bar))
    columns = {
        "features": rng.normal(0.0, 1.0, (bars, len(NAMES) - 1)).astype(np.float32),
        "gap_return": gap,
        "bar_return": bar,
        "direction": direction,
        "entry": (np.diff(direction, prepend=0) != 0) & (direction != 0),
        "close": close,
        "high": close,
        "low": close,
        "annual_vol": np.full(bars, 0.5),
    }
    confidence = {SYNTHETIC: rng.uniform(0.0, 1.0, bars)}
    return planted_market(columns, costs=COSTS, confidence=confidence).to("cpu", torch.float32)


def synthetic_view(market: Market, window_bars: int) -> MarketView:
    """What one policy sees of the synthetic market."""
    unit = Scaler((0.0,) * len(NAMES), (1.0,) * len(NAMES))
    return MarketView(market, [market.confidence[SYNTHETIC]], [{SYNTHETIC: unit}], window_bars)


def open_env(market: Market, mode: Mode, window_bars: int, groups: int, replicas: int, horizon: int) -> SizingEnv:
    """One policy's accounts, from the first bar of the synthetic market that has a window to its last."""
    place = Ranges((0,), (window_bars,), market.n_rows)
    streams = [torch_generator("bench", "env")]
    return SizingEnv(
        market, [place], config.Account(), mode, groups=groups, replicas=replicas, horizon=horizon, generators=streams
    )
