"""The `trading` section of params.yaml: defaults of the reference designs, and every wrong value named with its remedy."""

import copy
from typing import Any

import pydantic
import pytest

from sizewise.base.errors import ConfigError
from sizewise.params.reading import parse_section
from sizewise.params.trading import trading as trading_rules
from sizewise.params.trading.trading import ManagedRisk, ManageInventory, Rules, Simple, SizeByLeverage25, Trading

SECTION = {"symbols": ["A"], "scheme": {"kind": "sizing7"}, "costs": {"kind": "instrument"}}


def changed(**parts: object) -> dict[str, Any]:
    return copy.deepcopy(SECTION) | parts


def parsed(**parts: object) -> Trading:
    return parse_section("trading", changed(**parts))


def test_the_committed_section(params):
    assert params.trading.scheme.kind == "sizing7"
    assert params.trading.reward.kind == "log_growth"
    assert params.trading.rules == Rules()


def test_the_least_section():
    trading = parsed()
    assert trading.symbols == ("A",)
    assert (trading.scheme.mode, trading.scheme.close_action) == ("free", False)
    assert trading.costs.impact_coef == 0.0
    assert trading.reward.kind == "log_growth"
    assert trading.rules == Rules(
        margin="cash", leverage=1.0, closing="fifo", max_open_lots=None, max_open_orders=0, max_volume_frac=None,
        day_trade_limit=False, rounding=True,
    )  # fmt: skip


def test_numbers_of_the_reference_designs():
    # C3: sizes .3 ... 1.5 and leverage 1-5 on a base of $200, at least 10, at most 300.
    assert SizeByLeverage25(kind="size_by_leverage25").model_dump(exclude={"kind"}) == {
        "sizes": (0.3, 0.5, 0.7, 1.0, 1.5),
        "leverages": (1.0, 2.0, 3.0, 4.0, 5.0),
        "base_quote": 200.0,
        "min_quote": 10.0,
        "max_quote": 300.0,
    }
    # B3: 3 stops x 2 takes x 3 sizes x 2 durations x 2 sides x 1 pair.
    managed = ManagedRisk(kind="managed_risk")
    lists = (managed.stops_frac, managed.takes_frac, managed.sizes, managed.durations_bars, managed.sides)
    assert [len(values) for values in lists] == [3, 2, 3, 2, 2]
    assert managed.pairs is None
    # D1: stakes of 10%.
    assert ManageInventory(kind="manage_inventory").stake_frac == 0.10
    assert Simple(kind="simple").sides == ("buy", "sell")


@pytest.mark.parametrize(
    "scheme",
    [
        {"kind": "sizing3"},
        {"kind": "sizing13", "mode": "masked", "close_action": True},
        {"kind": "legacy3", "encoding": "index"},
        {"kind": "size_by_leverage25", "leverages": [1.0, 2.5]},
        {"kind": "simple", "criteria": [{"kind": "stop", "offset_frac": 0.01}], "pairs": ["A"]},
        {"kind": "managed_risk", "stops_frac": [0.01]},
        {"kind": "bsh"},
        {"kind": "simplex"},
        {"kind": "manage_inventory", "roll": False},
    ],
)
@pytest.mark.parametrize(
    "costs",
    [
        {"kind": "zero"},
        {"kind": "venue", "name": "bitmex"},
        {"kind": "flat", "maker_bps": -2.5, "funding_hours_utc": [4, 12, 20]},
    ],
)
@pytest.mark.parametrize("reward", ["log_growth", "unrealised_exposure", "drawdown_penalised", "differential_sharpe"])
def test_any_scheme_goes_with_any_costs_and_any_reward(scheme, costs, reward):
    # Row B6.
    trading = parsed(scheme=scheme, costs=costs, reward={"kind": reward})
    assert (trading.scheme.kind, trading.costs.kind, trading.reward.kind) == (scheme["kind"], costs["kind"], reward)
    for name, value in (scheme | costs).items():
        held = getattr(trading.costs if name in costs else trading.scheme, name)
        if isinstance(value, list) and not isinstance(value[0], dict):
            assert held == tuple(value)


@pytest.mark.parametrize(
    ("parts", "name", "remedy"),
    [
        ({"symbols": ["A", "A"]}, "trading", "symbols must differ"),
        ({"scheme": {"kind": "size_by_leverage25", "min_quote": 500.0}}, "trading.scheme", "must not exceed max_quote"),
        (
            {"rules": {"leverage": 2.0}},
            "trading.rules",
            "an account of margin cash has leverage 1: set margin to isolated",
        ),
        # A8: the caller names the encoding.
        ({"scheme": {"kind": "legacy3"}}, "trading.scheme.encoding", "is missing: add it to params.yaml"),
    ],
)
def test_what_contradicts_itself_is_refused(parts, name, remedy):
    with pytest.raises(ConfigError, match=rf"^params: '{name}.*{remedy}"):
        parsed(**parts)


@pytest.mark.parametrize("name", ["Rules", "LogGrowth", "ZeroCosts", "BSH", "ManageInventory", "SizeByLeverage25"])
def test_models_are_frozen(name):
    model = getattr(trading_rules, name)
    kinds = model.model_fields["kind"].annotation.__args__ if "kind" in model.model_fields else None
    made = model(kind=kinds[0]) if kinds else model()
    field = next(iter(model.model_fields))
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        setattr(made, field, getattr(made, field))


def test_symbols_of_weights_say_the_accounts_or_nothing():
    pair = {"kind": "simplex", "symbols": ["A", "B"]}
    assert parsed(symbols=["A", "B"], scheme=pair).scheme.symbols == ("A", "B")
    with pytest.raises(ConfigError, match=r"scheme\.symbols are others than symbols: remove them from the scheme"):
        parsed(symbols=["A", "C"], scheme=pair)
    with pytest.raises(ConfigError, match="symbols must differ: an account holds one position of each"):
        parsed(symbols=["A", "B"], scheme=pair | {"symbols": ["A", "A"]})
