"""A tape, a desk and a walk made by hand, for the tests of schemes, rewards and environments. Nothing costs by default."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from sizewise.market.instruments import FeePeriod, Instrument
from sizewise.market.tape import Tape, build_tape
from sizewise.params.learning.train import Episode
from sizewise.params.trading.account import Account
from sizewise.params.trading.rewards import RewardModel
from sizewise.params.trading.trading import InstrumentCosts, Rules, SchemeModel, Trading
from sizewise.trading.broker.orders import Flag, Kind, Orders
from sizewise.trading.desk import Desk, Step
from sizewise.trading.environment import TradingEnv
from sizewise.trading.episodes import Ranges
from sizewise.trading.schemes.interface import ActionScheme, Discrete, View

ACCOUNT = Account()
PLAIN = Rules(rounding=False)
Bar = float | tuple[float, float, float, float]


def instrument(*, maker_bps: float = 0.0, taker_bps: float = 0.0, **terms: object) -> Instrument:
    """A venue of cents and hundred-thousandths with orders from $10, which gives 100 times leverage; `terms` replace."""
    fees = FeePeriod.model_validate({"from": "1970-01-01", "maker_bps": maker_bps, "taker_bps": taker_bps})
    values: dict[str, Any] = {
        "asset_class": "crypto_spot",
        "venue": "Hand",
        "quote_currency": "USD",
        "bar_minutes": 60,
        "calendar": "24x7",
        "timezone": "UTC",
        "tick_size": 0.01,
        "lot_size": 1e-5,
        "min_order_quote": 10.0,
        "max_leverage": 100.0,
        "maintenance_margin_frac": 0.005,
        "fee_schedule": (fees,),
        "half_spread_bps": 0.0,
        "borrow_bps_per_day": 0.0,
        "max_gap_bars": 0,
    }
    return Instrument.model_validate(values | terms)


def frame(rows: Sequence[Bar], *, start: str = "2021-03-02 00:00", minutes: int = 60) -> pd.DataFrame:
    """Bars from (open, high, low, close), or from one price that does not move within the bar."""
    table = np.array([[row] * 4 if isinstance(row, int | float) else row for row in rows], dtype=np.float64)
    times = pd.date_range(start, periods=len(rows), freq=f"{minutes}min", tz="UTC", name="timestamp")
    return pd.DataFrame(table, columns=["open", "high", "low", "close"], index=times).assign(volume=1000.0)


def hand_tape(*markets: Sequence[Bar], start: str = "2021-03-02 00:00", terms: Instrument | None = None) -> Tape:
    """One account's instruments A, B, ..., each from its own rows, all under the same terms."""
    names = [chr(ord("A") + i) for i in range(len(markets))]
    bars = {name: frame(rows, start=start) for name, rows in zip(names, markets, strict=True)}
    return build_tape(bars, dict.fromkeys(names, terms or instrument()))


def stack_tapes(tapes: Sequence[Tape]) -> Tape:
    """Several markets in one tape; an account walks within one of them."""
    sizes = [len(tape.times) for tape in tapes]
    starts = np.cumsum([0, *sizes[:-1]]).tolist()
    times = pd.DatetimeIndex(tapes[0].times.append([tape.times for tape in tapes[1:]]))
    symbols = tuple(symbols for tape in tapes for symbols in tape.symbols)
    table, metered = torch.cat([tape.table for tape in tapes]), all(tape.metered for tape in tapes)
    return Tape(symbols, tuple(starts), tuple(sizes), times, table, metered)


class Units(ActionScheme):
    """Action a orders units[a] of every instrument at market: one number, or one an instrument."""

    def __init__(self, *units: float | tuple[float, ...], dtype: torch.dtype = torch.float64):
        self._units = torch.tensor([row if isinstance(row, tuple) else (row,) for row in units], dtype=dtype)
        self.space = Discrete(len(units))

    def orders(self, actions: torch.Tensor, view: View) -> Orders:
        return Orders(market=self._units[actions].movedim(-1, 0).expand(view.book.units.shape))


def trading(scheme: SchemeModel, tape: Tape, rules: Rules = PLAIN, reward: RewardModel | str = "log_growth") -> Trading:
    """`reward`: a model, or a kind with its defaults."""
    model = {"kind": reward} if isinstance(reward, str) else reward
    return Trading(symbols=tape.symbols[0], scheme=scheme, costs=InstrumentCosts(), rules=rules, reward=model)


def open_desk(
    tape: Tape,
    model: SchemeModel,
    rules: Rules = PLAIN,
    *,
    reward: RewardModel | str = "log_growth",
    account: Account = ACCOUNT,
    scheme: ActionScheme | None = None,
    dtype: torch.dtype = torch.float64,
) -> Desk:
    return Desk(tape, trading(model, tape, rules, reward), account, scheme=scheme, dtype=dtype, record=True)


def walk(desk: Desk, tape: Tape, actions: Sequence[object], direction: Sequence[int] | int = 0) -> list[Step]:
    """One account from row 0 on: actions[t] is decided at close t. The steps; steps[t].position is that of close t + 1."""
    signal = [direction] * len(actions) if isinstance(direction, int) else direction
    position, steps = desk.open((1,)), []
    for t, action in enumerate(actions):
        now, following = (tape.rows(torch.tensor([row])) for row in (t, t + 1))
        chosen = desk.scheme.space.check(torch.from_numpy(np.asarray([action])))
        steps.append(desk.step(position, chosen, now, following, torch.tensor([signal[t]], dtype=desk.dtype)))
        position = steps[-1].position
    return steps


def held(step: Step, number: int = 0) -> float:
    """Units of an instrument after a step."""
    return step.position.book.units[number, 0].item()


def fills(step: Step, number: int = 0) -> list[tuple[Kind, float, float]]:
    """(kind, units, price) of a step's fills, in order."""
    rows = [(f.kind, f.units[number, 0].item(), f.price[number, 0].item()) for f in step.result.fills]
    return [row for row in rows if row[1]]


def flags(step: Step, number: int = 0) -> Flag:
    return Flag(step.result.flags[number, 0].item())


def open_env(
    tape: Tape,
    model: SchemeModel,
    rules: Rules = PLAIN,
    *,
    stretch: tuple[int, int] | None = None,
    policies: int = 1,
    groups: int = 1,
    replicas: int = 1,
    horizon: int = 4,
    reward: RewardModel | str = "log_growth",
    account: Account = ACCOUNT,
    scheme: ActionScheme | None = None,
    direction: torch.Tensor | None = None,
    episode: Episode | None = None,
    regimes: torch.Tensor | None = None,
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
    **how: object,
) -> TradingEnv:
    """`stretch`: rows the accounts may walk, all by default; of horizon + 1 rows there is one start. `how`: as the
    environment has it."""
    first, stop = stretch or (0, len(tape.times))
    return TradingEnv(
        tape,
        [Ranges((0,), (first,), (stop,))] * policies,
        trading(model, tape, rules, reward),
        account,
        groups=groups,
        replicas=replicas,
        horizon=horizon,
        generators=[torch.Generator().manual_seed(seed + k) for k in range(policies)],
        direction=direction,
        scheme=scheme,
        episode=episode,
        regimes=regimes,
        dtype=dtype,
        **how,
    )
