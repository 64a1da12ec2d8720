"""Every scheme on three weeks of real bars: arguments of an environment, by the name of its scheme."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from sizewise.gym.environments import SizewiseEnv
from sizewise.market.instruments import load_instruments
from sizewise.params.trading import trading as trading_rules
from sizewise.params.trading.trading import InstrumentCosts, Rules, Trading, VenueCosts

from ...hand_tape import instrument

BTC, ETH = "BTCUSDT_1h", "ETHUSD-BITFINEX_30m"
SPOT, PERPETUAL = InstrumentCosts(), VenueCosts(kind="venue", name="bitmex")
WORKING = Rules(max_open_orders=3, max_open_lots=5)


def sizing(kind: str, **more: Any) -> trading_rules.Sizing:
    return trading_rules.Sizing(kind=kind, **more)


def trading(scheme: trading_rules.SchemeModel, *symbols: str, rules: Rules = Rules(), costs: Any = SPOT) -> Trading:  # noqa: B008
    return Trading(symbols=symbols or (BTC,), scheme=scheme, costs=costs, rules=rules)


TRADINGS = {
    "sizing3": trading(sizing("sizing3")),
    "levels": trading(trading_rules.Levels(kind="levels", levels=(0.0, 0.1, 0.2))),
    "sizing7": trading(sizing("sizing7")),
    "sizing7_masked": trading(sizing("sizing7", mode="masked")),
    "sizing13_close": trading(sizing("sizing13", close_action=True)),
    "legacy3_signed": trading(trading_rules.Legacy3(kind="legacy3", encoding="signed")),
    "legacy3_index": trading(trading_rules.Legacy3(kind="legacy3", encoding="index")),
    "size_by_leverage25": trading(
        trading_rules.SizeByLeverage25(kind="size_by_leverage25"), rules=Rules(margin="isolated"), costs=PERPETUAL
    ),
    "simple": trading(trading_rules.Simple(kind="simple"), rules=WORKING),
    "managed_risk": trading(trading_rules.ManagedRisk(kind="managed_risk"), rules=WORKING),
    "managed_risk_pairs": trading(trading_rules.ManagedRisk(kind="managed_risk"), BTC, ETH, rules=WORKING),
    "bsh": trading(trading_rules.BSH(kind="bsh")),
    "simplex": trading(trading_rules.Simplex(kind="simplex"), BTC, ETH),
    "manage_inventory": trading(trading_rules.ManageInventory(kind="manage_inventory"), rules=WORKING),
    "simplex_box": trading(trading_rules.Simplex(kind="simplex"), BTC, ETH),
}
OTHERS = {"simplex_box": {"weights": "box"}}


@pytest.fixture(scope="session")
def catalogue(root):
    return load_instruments(root / "data" / "instruments.yaml")


@pytest.fixture(scope="session")
def market(real_bars):
    """Three weeks of two real series, of different bar lengths."""
    start, end = pd.Timestamp("2018-11-01", tz="UTC"), pd.Timestamp("2018-11-22", tz="UTC")
    return {symbol: real_bars(symbol).loc[start:end] for symbol in (BTC, ETH)}


@pytest.fixture(scope="session")
def terms(market, catalogue):
    """Arguments of an environment, by the name of its scheme."""

    def arguments(name: str, **more: Any) -> dict[str, Any]:
        chosen = TRADINGS[name]
        bars = {symbol: market[symbol] for symbol in chosen.symbols}
        given = {"bars": bars, "trading": chosen, "instruments": catalogue, "episode_bars": 40}
        if len(bars) == 1:
            given["direction"] = np.resize(np.repeat([1, 0, -1], 12), len(market[BTC]))
        return given | OTHERS.get(name, {}) | more

    return arguments


def hand(bars: pd.DataFrame, model: trading_rules.SchemeModel, **more: Any) -> SizewiseEnv:
    """An environment on bars made by hand that is warm from row 0."""
    given = {"instruments": {"A": instrument()}, "features": np.zeros((len(bars), 1)), "random_start": False}
    return SizewiseEnv({"A": bars}, trading(model, "A"), **(given | more))


def play(env: SizewiseEnv, actions: Any) -> list[tuple]:
    """Steps until the actions or the episode end."""
    steps = []
    for action in actions:
        steps.append(env.step(action))
        if steps[-1][2] or steps[-1][3]:
            break
    return steps
