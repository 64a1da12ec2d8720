"""What the walk of many accounts refuses; that it is the broker's is held in tests/equivalence."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sizewise.base.errors import ConfigError, LedgerError
from sizewise.params.trading.account import Account
from sizewise.params.trading.world import World
from sizewise.studies.calibration.accounts import Terms, matched, walk
from sizewise.studies.calibration.study import world_of


@pytest.mark.parametrize(
    ("name", "value"), [("margin", "isolated"), ("latency_bars", 1), ("max_volume_frac", 0.1), ("max_open_lots", 2)]
)
def test_rules_that_the_walk_does_not_know_are_refused(quick, name, value):
    world = World.of(quick.params)
    world = replace(world, rules=world.rules.model_copy(update={name: value}))
    with pytest.raises(ConfigError, match=rf"^calibration walks accounts of cash .* rules.{name} says otherwise"):
        Terms.of(world, 0.2, None)


def test_an_account_that_the_day_trade_rule_reaches_is_refused(quick):
    rules = quick.params.rules.model_copy(update={"day_trade_limit": True})
    small = World(Account(initial_equity=1000.0), rules, quick.params.decisions)
    with pytest.raises(ConfigError, match=r"rules.day_trade_limit says otherwise"):
        Terms.of(small, 0.2, None)
    free = replace(small, rules=rules.model_copy(update={"day_trade_limit": False}))
    assert Terms.of(free, 0.2, None).initial == 1000.0


def test_ruin_is_refused_and_without_a_risk_nothing_is_scaled(quick):
    p, market = quick.params, quick.market.to("cpu", torch.float64)
    place = World.of(p)
    world = world_of(quick.universe, quick.folds["rolling"], market, p.arms, p.plan, p.signals, place, p.calibration)
    ground = world.grounds[0]
    terms = replace(world.terms, limit=1e6, margin=False, off=None, risk=None)
    huge = np.full((len(ground.visits.row), 1, 1), 300.0)
    ones = matched(ground.visits, ground.test, huge, terms)
    assert (ones == 1.0).all()
    with pytest.raises(LedgerError, match=r"^sizes ruin an account"):
        walk(ground.visits, ground.test, huge, ones, terms)
