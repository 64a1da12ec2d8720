"""Growth by the size of the account: each size as it walks alone, and what the venue refuses a small one."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from sizewise.base.errors import ConfigError
from sizewise.params.trading.decisions import Decisions
from sizewise.params.trading.trading import Rules
from sizewise.params.trading.world import World
from sizewise.sizing.sizers import rule_sizer
from sizewise.studies.small_account.curve import (
    IN_AND_OUT,
    SMALLEST,
    growth_by_account_size,
    home_each_evening,
    sized_arms,
    sized_rules,
    spread_by_symbol,
)
from sizewise.trading.schemes.values import SIZES7, base_order_frac
from sizewise.walkforward.walk import RULE_SEED, paths_of, run_rule, walk

SIZES = (20.0, 1_000.0, 100_000.0)
FREE = World()
VENUE = World(rules=Rules())


@pytest.fixture(scope="module")
def market(quick):
    return quick.market.to("cpu", torch.float64)


@pytest.fixture(scope="module")
def folds(quick):
    return quick.folds["rolling"]


@pytest.fixture(scope="module")
def arms(quick):
    return sized_arms(quick.params.arms, "atr", VENUE)


@pytest.fixture(scope="module")
def rules(market, arms):
    return {name: rule_sizer(arm, VENUE.account) for name, arm in arms.items()}


@pytest.fixture(scope="module")
def table(market, folds, rules) -> pd.DataFrame:
    return growth_by_account_size(market, folds, rules, VENUE, SIZES)


def test_a_row_an_arm_symbol_and_size(table, market, arms):
    keys = table[["arm", "symbol", "initial_equity"]]
    assert not keys.duplicated().any()
    assert len(table) == len(arms) * len(market.symbols) * len(SIZES)
    assert set(table["initial_equity"]) == set(SIZES)
    counted, costs = ["trades", "below_min", "day_trade"], ["rounding_cost", "day_trade_limit_cost"]
    assert list(table.columns) == [*keys.columns, "growth_bps_per_day", *counted, *costs]


def test_the_rules_are_the_reference_and_the_smallest_order(arms, quick):
    assert list(arms) == ["atr", SMALLEST]
    assert arms["atr"] == quick.params.arms["atr"]
    assert arms[SMALLEST].size_frac == base_order_frac(VENUE.account) * SIZES7[0]


def of(table: pd.DataFrame, arm: str, symbol: str, size: float):
    (row,) = table[(table["arm"] == arm) & (table["symbol"] == symbol) & (table["initial_equity"] == size)].itertuples()
    return row


@pytest.mark.parametrize("arm", ["atr", SMALLEST])
@pytest.mark.parametrize("size", [20.0, 1_000.0])
def test_each_account_is_what_it_is_alone(table, market, folds, arms, arm, size):
    account = VENUE.account.model_copy(update={"initial_equity": size})
    alone = run_rule(market, arm, arms[arm], folds, replace(VENUE, account=account))
    for symbol in market.symbols:
        mine = [path for path, key in enumerate(alone.keys) if key.symbol == symbol]
        keys = [alone.keys[path] for path in mine]
        growth = torch.log(alone.ledger.equity[-1, mine] / size).sum().item()
        days = sum((market.times[k.start_row + k.length - 1] - market.times[k.start_row]).days + 1 for k in keys)
        events = alone.ledger.events
        row = of(table, arm, symbol, size)
        assert row.growth_bps_per_day == pytest.approx(1e4 * growth / days, rel=1e-9, abs=1e-12)
        assert row.below_min == int(((events["event"] == "below_min") & events["path"].isin(mine)).sum())
        side = alone.ledger.position[:, mine].sign()
        assert row.trades == int(((side[1:] != 0) & (side[1:] != side[:-1])).sum())


def test_a_minimum_order_shuts_a_small_account_out(table, market):
    for symbol in market.symbols:
        small, large = of(table, SMALLEST, symbol, 20.0), of(table, SMALLEST, symbol, 100_000.0)
        assert (small.trades, small.growth_bps_per_day) == (0, 0.0)
        assert small.below_min > 0
        assert large.below_min == 0
        assert large.trades > 0


def test_without_a_venues_minimum_all_sizes_grow_alike(market, folds, rules):
    found = growth_by_account_size(market, folds, rules, FREE, SIZES)
    by = found.pivot_table(index=["arm", "symbol"], columns="initial_equity", values="growth_bps_per_day")
    np.testing.assert_allclose(by.to_numpy(), by[[1_000.0]].to_numpy().repeat(len(SIZES), axis=1), rtol=1e-9)
    assert (by.abs() > 0).all().all()
    assert not found[["below_min", "day_trade", "rounding_cost", "day_trade_limit_cost"]].any().any()
    assert (spread_by_symbol(found) < 1e-9).all()


def test_the_day_trade_limit_binds_below_its_threshold_alone(market, folds, rules):
    # A session of a quarter, in which trades begin and end.
    session = (market.tape.column("session") / 90.0).floor()
    tape = market.tape.changed(day_trade=torch.ones_like(session), session=session)
    limited = World(rules=Rules(rounding=False, day_trade_limit=True))
    found = growth_by_account_size(replace(market, tape=tape), folds, rules, limited, SIZES)
    refused = found.groupby("initial_equity")["day_trade"].sum()
    assert refused[1_000.0] > 0
    assert refused[100_000.0] == 0
    assert not found["below_min"].any()
    assert (found["rounding_cost"] == 0.0).all()
    assert found[found["initial_equity"] == 1_000.0]["day_trade_limit_cost"].any()
    assert not found[found["initial_equity"] == 100_000.0]["day_trade_limit_cost"].any()


def test_a_cost_is_what_the_account_ends_with_less_than_without_the_limit(table, market, folds, arms):
    free = replace(VENUE, rules=VENUE.rules.model_copy(update={"rounding": False}))
    account = VENUE.account.model_copy(update={"initial_equity": 20.0})
    ends = []
    for world in (VENUE, free):
        alone = run_rule(market, "atr", arms["atr"], folds, replace(world, account=account))
        mine = [path for path, key in enumerate(alone.keys) if key.symbol == market.symbols[0]]
        ends.append(alone.ledger.equity[-1, mine].sum().item())
    assert of(table, "atr", market.symbols[0], 20.0).rounding_cost == pytest.approx(ends[1] - ends[0], abs=1e-9)


def test_symbols_that_are_not_named_do_not_walk(market, folds, rules):
    found = growth_by_account_size(market, folds, rules, VENUE, (20.0, 1_000.0), market.symbols[:1])
    assert set(found["symbol"]) == {market.symbols[0]}
    with pytest.raises(ConfigError, match=r"small_account\.symbols names 'GOLD'"):
        growth_by_account_size(market, folds, rules, VENUE, (20.0,), ("GOLD",))


def test_what_is_home_each_evening_makes_a_day_trade_a_session(market, folds, quick):
    session = market.tape.column("session")
    daily = replace(market, tape=market.tape.changed(day_trade=torch.ones_like(session)))
    limited = World(rules=Rules(rounding=False, day_trade_limit=True), decisions=Decisions(every="bar"))
    every = sized_rules(daily, quick.params.arms, "atr", limited)
    assert list(every) == ["atr", SMALLEST, IN_AND_OUT]
    rules = {IN_AND_OUT: every[IN_AND_OUT]}
    found = growth_by_account_size(daily, folds, rules, limited, (1_000.0, 100_000.0)).set_index(
        ["symbol", "initial_equity"]
    )
    for symbol in daily.symbols:
        small, large = found.loc[symbol, 1_000.0], found.loc[symbol, 100_000.0]
        assert small["day_trade"] > large["day_trade"] == 0
        assert large["trades"] > small["trades"] > 0
        assert small["day_trade_limit_cost"] != large["day_trade_limit_cost"] == 0.0
    keys = paths_of(IN_AND_OUT, folds, [RULE_SEED], daily)
    held = walk(
        daily, keys, home_each_evening(daily, 0.1, limited.account), replace(limited, rules=FREE.rules)
    ).position
    for path, key in enumerate(keys):
        number = session[key.start_row : key.start_row + key.length, 0]
        last = torch.cat([number[1:] != number[:-1], torch.ones(1, dtype=torch.bool)])
        assert not held[: key.length, path][last].any()
        assert held[: key.length, path].any()
