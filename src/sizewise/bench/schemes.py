"""Speed of every action scheme on real bars, for `sizewise bench`: the general environment under the least rules."""

import time
from dataclasses import dataclass

import pandas as pd
import torch

from sizewise.base.paths import project_root
from sizewise.base.seeding import torch_generator
from sizewise.dataset.days import Days
from sizewise.dataset.signals import signal_stream
from sizewise.market.bars import load_bars
from sizewise.market.costs import priced
from sizewise.market.instruments import load_instruments
from sizewise.market.tape import build_tape
from sizewise.params.dataset.signals import Signals
from sizewise.params.trading import trading as trading_rules
from sizewise.params.trading.account import Account
from sizewise.trading.environment import TradingEnv
from sizewise.trading.episodes import Ranges
from sizewise.trading.schemes.catalogue import MODELS, least_rules
from sizewise.trading.schemes.interface import Discrete

SYMBOLS = ("BTCUSDT_1h", "EURUSD_1h")
# Schemes of a levered or a maker account trade where there are perpetuals; the others on the symbol's own venue.
PERPETUALS = ("size_by_leverage25", "manage_inventory")
PORTFOLIOS = ("simplex",)
DISTINCT_ACTIONS = 16
WARMUP_ROWS = 2000


@dataclass(frozen=True)
class SchemeSizes:
    """How much is measured: accounts in all and on one path, bars of a horizon, account steps, bars of the series."""

    accounts: int = 4096
    replicas: int = 8
    horizon: int = 128
    env_steps: int = 1 << 20
    bars: int | None = None


def trading_of(kind: str) -> trading_rules.Trading:
    """What a scheme is timed with: its defaults, the least rules it needs, and the costs of its market."""
    model = MODELS[kind]
    costs: trading_rules.CostModel = trading_rules.InstrumentCosts(kind="instrument")
    if kind in PERPETUALS:
        costs = trading_rules.VenueCosts(kind="venue", name="bitmex")
    symbols = SYMBOLS if kind in PORTFOLIOS else SYMBOLS[:1]
    return trading_rules.Trading(symbols=symbols, scheme=model, costs=costs, rules=least_rules(model))


def open_scheme_env(kind: str, sizes: SchemeSizes) -> TradingEnv:
    """The environment of one scheme over the bundled bars, float32, with the breakout signal for schemes that follow it."""
    folder = project_root() / "data"
    instruments = load_instruments(folder / "instruments.yaml")
    trading = trading_of(kind)
    bars: dict[str, pd.DataFrame] = {}
    for symbol in trading.symbols:
        bars[symbol] = load_bars(folder / "bars" / f"{symbol}.parquet", instruments[symbol])
        if sizes.bars is not None:
            bars[symbol] = bars[symbol].iloc[: sizes.bars]
    tape = build_tape(bars, {symbol: priced(instruments[symbol], trading.costs) for symbol in bars})
    days = Days.of(bars[SYMBOLS[0]], instruments[SYMBOLS[0]])
    signal = signal_stream(bars[SYMBOLS[0]], Signals(), days)["direction"].reindex(tape.times).ffill().fillna(0)
    rows = len(tape.times)
    start = min(WARMUP_ROWS, rows // 2)
    return TradingEnv(
        tape,
        [Ranges((0,), (start,), (rows,))],
        trading,
        Account(),
        groups=sizes.accounts // sizes.replicas,
        replicas=sizes.replicas,
        horizon=sizes.horizon,
        generators=[torch_generator("bench", "schemes")],
        direction=torch.from_numpy(signal.to_numpy(dtype="int8", copy=True)),
    )


def random_actions(env: TradingEnv) -> list[torch.Tensor]:
    """Some batches of actions drawn from the scheme's own space."""
    generator, space = torch_generator("bench", "actions"), env.desk.scheme.space
    if isinstance(space, Discrete):
        shape = (DISTINCT_ACTIONS, *env.shape)
        return list(torch.randint(space.start, space.start + space.n, shape, generator=generator).unbind(0))
    # Uniform on the simplex: shares of exponential draws.
    draws = torch.empty((DISTINCT_ACTIONS, *env.shape, *space.shape)).exponential_(generator=generator)
    return list((draws / draws.sum(-1, keepdim=True)).unbind(0))


def scheme_speed(env: TradingEnv, actions: list[torch.Tensor], steps: int) -> dict[str, float]:
    """Account steps a CPU second over whole horizons, restarts, rewards and all costs included."""
    per_horizon = env.horizon * env.shape[0] * env.shape[1] * env.shape[2]
    horizons = max(1, round(steps / per_horizon))
    # The first horizon after another measurement finds its memory cold.
    env.restart()
    for t in range(env.horizon):
        env.step(actions[t % len(actions)])
    begun = time.process_time()
    for _ in range(horizons):
        env.restart()
        for t in range(env.horizon):
            env.step(actions[t % len(actions)])
    return {"steps_per_s": horizons * per_horizon / (time.process_time() - begun)}


def describe(kind: str) -> dict[str, object]:
    """What the figure of a scheme was measured with."""
    trading = trading_of(kind)
    rules = trading.rules.model_dump()
    return {
        "symbols": list(trading.symbols),
        "costs": trading.costs.kind if trading.costs.kind != "venue" else trading.costs.name,
        "margin": rules["margin"],
        "max_open_orders": rules["max_open_orders"],
        "max_open_lots": rules["max_open_lots"],
    }
