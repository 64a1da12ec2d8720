"""What a stress study refuses before it walks: arms that are unknown, cannot be walked again, or do not fit the plan."""

from dataclasses import replace

import pytest

from sizewise.base.errors import ConfigError
from sizewise.params.arms import AtrMatchedArm
from sizewise.params.trading.world import World
from sizewise.studies.stress.world import TURNOVER_MATCHED, StressWorld


@pytest.fixture(scope="module")
def world(quick, tmp_path_factory) -> StressWorld:
    p = quick.params
    return StressWorld(
        universe=quick.universe,
        market=quick.market,
        folds=quick.folds["rolling"],
        models=quick.models,
        arms=p.arms,
        plan=p.plan.model_copy(update={"reference": "atr"}),
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


def test_the_declared_arms_walk_and_one_more(world):
    assert world.walked == (*world.rules.arms, TURNOVER_MATCHED)
    assert TURNOVER_MATCHED not in world.arms
    assert world.ruin_level == pytest.approx(0.1 * 100_000.0)
    assert world.matched == world.arms["atr_exposure_matched"]


def test_without_a_matched_arm_the_references_rule_is_matched(world):
    given = with_arms(world, "ppo", "atr")
    assert given.matched.matches == "ppo"
    assert (given.matched.risk_frac, given.matched.stop_atr) == (given.reference.risk_frac, given.reference.stop_atr)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("ppo", "atr", "atrium"), r"^stress\.arms names 'atrium', which is no entry of arms: mend its name$"),
        (
            ("ppo", "atr", "kelly"),
            r"^stress\.arms: 'kelly' is of kind 'kelly', which is not walked again: leave it out$",
        ),
        (("ppo", "atr", "q_table"), r"^stress\.arms: 'q_table' is of kind 'q_table'"),
        (("ppo", "constant"), r"^stress\.arms leaves out 'atr': both sides of the comparison are walked; add it$"),
        (("atr", "constant"), r"^stress\.arms leaves out 'ppo'"),
    ],
)
def test_arms_that_cannot_be_walked_are_named(world, names, message):
    with pytest.raises(ConfigError, match=message):
        with_arms(world, *names)


@pytest.mark.parametrize(
    ("role", "arm", "message"),
    [
        ("candidate", "constant", r"^plan\.candidate 'constant' is no PPO arm: stress walks one; name one$"),
        ("reference", "constant", r"^plan\.reference 'constant' is no ATR arm: stress scales one; name one$"),
    ],
)
def test_the_plans_arms_are_a_policy_and_atr(world, role, arm, message):
    plan = world.plan.model_copy(update={role: arm})
    with pytest.raises(ConfigError, match=message):
        with_arms(world, "ppo", "atr", "constant", plan=plan)


def test_a_reference_that_reads_confidence_is_refused(world):
    arms = {**world.arms, "atr": world.arms["atr"].model_copy(update={"confidence_rule": True})}
    with pytest.raises(
        ConfigError, match=r"^plan\.reference 'atr' reads confidence: only plain ATR sizes can be scaled$"
    ):
        replace(world, arms=arms)


def test_what_matches_somebody_else_is_refused(world):
    other = AtrMatchedArm(kind="atr_exposure_matched", matches="ppo_entry")
    with pytest.raises(ConfigError, match=r"^stress\.arms: 'other' matches ppo_entry: only what matches the candidate"):
        with_arms(world, "ppo", "atr", "other", arms={**world.arms, "other": other})


def test_one_matched_arm_is_enough(world):
    arms = {**world.arms, "again": world.arms["atr_exposure_matched"]}
    with pytest.raises(ConfigError, match=r"^stress\.arms names several arms of kind atr_exposure_matched: keep one$"):
        with_arms(world, "ppo", "atr", "atr_exposure_matched", "again", arms=arms)
