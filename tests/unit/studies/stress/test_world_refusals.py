"""What a stress study refuses before it walks: arms that are unknown, cannot be walked again, or do not fit the plan."""

from dataclasses import replace

import pytest

from sizewise.base.errors import ConfigError
from sizewise.params.arms import PpoArm
from sizewise.params.trading.decisions import Decisions
from sizewise.params.trading.trading import Simplex
from sizewise.params.trading.world import World
from sizewise.studies.stress.world import StressWorld
from sizewise.walkforward.walk import RULE_SEED


@pytest.fixture(scope="module")
def world(quick, tmp_path_factory) -> StressWorld:
    p = quick.params
    return StressWorld(
        universe=quick.universe,
        market=quick.market,
        folds=quick.folds["rolling"],
        models=quick.models,
        arms=p.arms,
        plan=p.plan,
        rules=p.stress,
        seeds=p.train.seeds,
        world=World.of(p),
        regimes=p.regimes,
        signals=p.signals,
        splits=p.splits,
        window_bars=p.observation.window_bars,
        policies=tmp_path_factory.mktemp("nothing"),
    )


def with_arms(world: StressWorld, *names: str, **changes: object) -> StressWorld:
    return replace(world, rules=world.rules.model_copy(update={"arms": names}), **changes)


def test_the_declared_arms_walk_and_two_more(world):
    assert world.matched == ("atr_managed_exposure_matched", "atr_managed_turnover_matched")
    assert world.walked == (*world.rules.arms, *world.matched)
    assert not set(world.matched) & set(world.arms)
    assert world.ruin_level == pytest.approx(0.1 * 100_000.0)


def test_arms_walk_with_their_own_seeds_and_clocks(world):
    own = PpoArm(kind="ppo", seeds=(4, 5), decisions=Decisions(every="entry"))
    given = replace(world, arms={**world.arms, "ppo": own})
    assert given.seeds_of("ppo") == (4, 5)
    assert given.seeds_of("ppo_entry") == world.seeds
    assert given.seeds_of("atr") == (RULE_SEED,)
    assert given.under("ppo").decisions == own.decisions
    assert given.under("atr") == world.world


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("ppo", "atr_managed", "atrium"), r"^stress\.arms names 'atrium', which is no entry of arms: mend its name$"),
        (
            ("ppo", "atr_managed", "kelly"),
            r"^stress\.arms: 'kelly' is of kind 'kelly', which is not walked again: leave it out$",
        ),
        (("ppo", "atr_managed", "q_table"), r"^stress\.arms: 'q_table' is of kind 'q_table'"),
        (
            ("ppo", "constant"),
            r"^stress\.arms leaves out 'atr_managed': both sides of the comparison are walked; add it$",
        ),
        (("atr_managed", "constant"), r"^stress\.arms leaves out 'ppo'"),
    ],
)
def test_arms_that_cannot_be_walked_are_named(world, names, message):
    with pytest.raises(ConfigError, match=message):
        with_arms(world, *names)


def test_a_candidate_that_is_no_policy_is_refused(world):
    plan = world.plan.model_copy(update={"candidate": "constant"})
    with pytest.raises(ConfigError, match=r"^plan\.candidate 'constant' is no PPO arm: stress walks one; name one$"):
        with_arms(world, "ppo", "atr_managed", "constant", plan=plan)


def test_a_reference_that_is_learned_is_refused(world):
    plan = world.plan.model_copy(update={"reference": "ppo_entry"})
    with pytest.raises(ConfigError, match=r"^plan\.reference 'ppo_entry' is learned: stress scales a rule; name one$"):
        with_arms(world, "ppo", "ppo_entry", plan=plan)


def test_an_account_of_several_symbols_is_refused(world):
    both = PpoArm(kind="ppo", scheme=Simplex(kind="simplex", symbols=("BTCUSDT_1h", "EURUSD_1h"), steps=4))
    with pytest.raises(ConfigError, match=r"^stress\.arms: 'both' trades several symbols in one account, which is not"):
        with_arms(world, "ppo", "atr_managed", "both", arms={**world.arms, "both": both})
