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


WRONG = [
    ({"oops": 1}, "trading.oops", "remove it or mend its name"),
    ({"symbols": []}, "trading.symbols", "at least 1"),
    ({"symbols": "A"}, "trading.symbols", "write [a, b]"),
    ({"symbols": ["A", "A"]}, "trading", "symbols must differ"),
    ({"scheme": {"kind": "sizing8"}}, "trading.scheme", "'sizing7'"),
    ({"scheme": {"kind": "sizing7", "mod": "free"}}, "'trading.scheme.mod", "remove it or mend its name"),
    ({"scheme": {"kind": "sizing7", "mode": "open"}}, "mode", "'masked' or 'free'; got 'open'"),
    ({"scheme": {"kind": "sizing7", "close_action": "yes"}}, "close_action", "write true or false"),
    ({"scheme": {"mode": "open"}}, "'trading.scheme", "needs a kind"),
    ({"scheme": {"kind": "simple", "sizes": [2.0]}}, "'trading.scheme.sizes.0", "less than or equal to 1; got 2.0"),
    ({"scheme": {"kind": "simple", "pairs": []}}, "'trading.scheme.pairs", "at least 1"),
    ({"scheme": {"kind": "managed_risk", "stops_frac": []}}, "'trading.scheme.stops_frac", "at least 1"),
    ({"scheme": {"kind": "size_by_leverage25", "min_quote": 500.0}}, "'trading.scheme", "must not exceed max_quote"),
    # A8: the caller names the encoding.
    ({"scheme": {"kind": "legacy3"}}, "encoding", "is missing: add it to params.yaml"),
    ({"scheme": {"kind": "legacy3", "encoding": "zero"}}, "encoding", "'signed' or 'index'; got 'zero'"),
    ({"scheme": {"kind": "size_by_leverage25", "leverages": [6.0]}}, "leverages.0", "less than or equal to 5; got 6.0"),
    ({"scheme": {"kind": "size_by_leverage25", "leverages": [0.5]}}, "leverages.0", "greater than or equal to 1"),
    ({"scheme": {"kind": "size_by_leverage25", "sizes": []}}, "sizes", "at least 1"),
    ({"scheme": {"kind": "size_by_leverage25", "sizes": [0.0]}}, "sizes.0", "greater than 0; got 0.0"),
    ({"scheme": {"kind": "simple", "criteria": []}}, "criteria", "at least 1"),
    (
        {"scheme": {"kind": "simple", "criteria": [{"kind": "limit"}]}},
        "'trading.scheme.criteria.0.offset_frac",
        "is missing",
    ),
    ({"scheme": {"kind": "simple", "criteria": [{"kind": "market", "offset_frac": 0.1}]}}, "offset_frac", "remove it"),
    ({"scheme": {"kind": "simple", "criteria": [{"kind": "limit", "offset_frac": 1.0}]}}, "offset_frac", "less than 1"),
    ({"scheme": {"kind": "simple", "sides": ["hold"]}}, "sides.0", "'buy' or 'sell'; got 'hold'"),
    ({"scheme": {"kind": "simple", "durations_bars": [0]}}, "durations_bars.0", "greater than or equal to 1"),
    ({"scheme": {"kind": "simple", "durations_bars": [1.5]}}, "durations_bars.0", "valid integer"),
    ({"scheme": {"kind": "managed_risk", "stops_frac": [1.0]}}, "stops_frac.0", "less than 1; got 1.0"),
    ({"scheme": {"kind": "managed_risk", "takes_frac": [0.0]}}, "takes_frac.0", "greater than 0; got 0.0"),
    ({"scheme": {"kind": "manage_inventory", "stake_frac": 0.0}}, "stake_frac", "greater than 0"),
    ({"scheme": {"kind": "manage_inventory", "stake_frac": 1.1}}, "stake_frac", "less than or equal to 1"),
    ({"scheme": {"kind": "manage_inventory", "rest_bars": 0}}, "rest_bars", "greater than or equal to 1"),
    ({"costs": {"kind": "free"}}, "trading.costs", "'instrument', 'zero', 'venue', 'flat'"),
    ({"costs": {"kind": "venue"}}, "name", "is missing"),
    ({"costs": {"kind": "zero", "taker_bps": 1.0}}, "taker_bps", "remove it or mend its name"),
    ({"costs": {"kind": "flat", "half_spread_bps": -1.0}}, "half_spread_bps", "greater than or equal to 0"),
    ({"costs": {"kind": "flat", "taker_bps": float("nan")}}, "taker_bps", "finite"),
    ({"costs": {"kind": "flat", "funding_hours_utc": []}}, "'trading.costs.funding_hours_utc", "at least 1"),
    ({"costs": {"kind": "flat", "funding_hours_utc": [24]}}, "funding_hours_utc.0", "less than or equal to 23"),
    ({"costs": {"kind": "instrument", "impact_coef": "1e-1"}}, "impact_coef", "write 1.0e-4"),
    ({"reward": {"kind": "sharpe"}}, "trading.reward", "'log_growth'"),
    ({"reward": {"kind": "log_growth", "coef": 0.5}}, "coef", "remove it or mend its name"),
    ({"reward": {"kind": "drawdown_penalised", "coef": 0.0}}, "coef", "greater than 0; got 0.0"),
    ({"reward": {"kind": "differential_sharpe", "decay": 1.0}}, "decay", "less than 1; got 1.0"),
    ({"reward": {"kind": "differential_sortino", "start_deviation": 0.0}}, "start_deviation", "greater than 0"),
    ({"reward": {"kind": "log_growth", "penalties": {"ruin": -1.0}}}, "penalties.ruin", "greater than or equal to 0"),
    (
        {"reward": {"kind": "log_growth", "penalties": {"suppression": {"rate": 1.5}}}},
        "penalties.suppression.rate",
        "less than or equal to 1; got 1.5",
    ),
    (
        {"reward": {"kind": "log_growth", "penalties": {"suppression": {"cycles": 0}}}},
        "penalties.suppression.cycles",
        "greater than or equal to 1",
    ),
    ({"rules": {"margin": "cross"}}, "trading.rules.margin", "'cash' or 'isolated'"),
    ({"rules": {"leverage": 2.0}}, "trading.rules", "a cash account has leverage 1: set margin to isolated"),
    ({"rules": {"margin": "isolated", "leverage": 5.5}}, "trading.rules.leverage", "less than or equal to 5"),
    ({"rules": {"closing": "lifo"}}, "trading.rules.closing", "'fifo' or 'average'"),
    ({"rules": {"max_open_lots": 0}}, "trading.rules.max_open_lots", "greater than or equal to 1"),
    ({"rules": {"max_open_orders": 17}}, "trading.rules.max_open_orders", "less than or equal to 16"),
    ({"rules": {"max_volume_frac": 0.0}}, "trading.rules.max_volume_frac", "greater than 0"),
    ({"rules": {"slippage": 1.0}}, "trading.rules.slippage", "remove it or mend its name"),
]


@pytest.mark.parametrize(("parts", "name", "remedy"), WRONG)
def test_a_wrong_parameter_is_named_with_its_remedy(parts, name, remedy):
    with pytest.raises(ConfigError) as caught:
        parsed(**parts)
    message = str(caught.value)
    assert message.startswith("params: ")
    assert f"{name}'" in message
    assert remedy in message
    assert "\n" not in message


@pytest.mark.parametrize("missing", ["symbols", "scheme", "costs"])
def test_what_has_no_default_must_be_given(missing):
    section = {name: value for name, value in SECTION.items() if name != missing}
    with pytest.raises(ConfigError, match=rf"'trading\.{missing}' is missing: add it to params\.yaml"):
        parse_section("trading", section)


@pytest.mark.parametrize("name", ["Rules", "LogGrowth", "ZeroCosts", "BSH", "ManageInventory", "SizeByLeverage25"])
def test_models_are_frozen(name):
    model = getattr(trading_rules, name)
    kinds = model.model_fields["kind"].annotation.__args__ if "kind" in model.model_fields else None
    made = model(kind=kinds[0]) if kinds else model()
    field = next(iter(model.model_fields))
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        setattr(made, field, getattr(made, field))
