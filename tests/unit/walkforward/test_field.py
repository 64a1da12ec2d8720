"""The field: every arm of params walks the same signal on its own ledger, and a missing or foreign part is refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from sizewise.base.errors import CheckpointError, ConfigError, DataMissingError
from sizewise.evidence.inference import daily_difference
from sizewise.learning.ppo.agent import load_agent
from sizewise.learning.stored import policy_folder
from sizewise.params.arms import AtrMatchedArm
from sizewise.params.reading import parse_section, read_params
from sizewise.sizing.fitted import mean_exposure
from sizewise.trading.schemes.values import position_limit_frac
from sizewise.walkforward.frames import frames
from sizewise.walkforward.walk import RULE_SEED, PathKey, policies_sizer, walk

from ...conftest import ROOT

# Those of params, and those that the trained field has beside them.
ARMS = [*read_params(ROOT)["arms"], "atr_exposure_matched", "ppo_free"]
LEARNED = [name for name, arm in parse_section("arms", read_params(ROOT)["arms"]).items() if arm.learned] + ["ppo_free"]
SEEDED = [*LEARNED, "random_placebo"]
FITTED = [
    "random_placebo",
    "vol_target_garch",
    "kelly",
    "kelly_forecast",
    "meta_label",
    "oracle_hindsight",
    "atr_exposure_matched",
]
# Arms that may hold nothing in a fold: what train teaches of a symbol may be to leave it.
WARY = ["cash", "kelly", "kelly_forecast", "meta_label"]
# Arms that choose a side of their own.
FREE = ["ppo_free", "buy_and_hold"]


@pytest.fixture(scope="module")
def runs(trained_field):
    """Every arm walked once, and the field that walked them."""
    field = trained_field.field()
    return field, {name: field.walk(name) for name in ARMS}


def test_there_are_as_many_arms_as_params_say(trained_field, runs):
    assert ARMS == list(trained_field.arms) == list(runs[1])
    assert set(LEARNED) | set(FITTED) <= set(ARMS)


@pytest.mark.parametrize("name", ARMS)
def test_an_arm_walks(trained_field, runs, name):
    run = runs[1][name]
    seeds = trained_field.seeds if name in SEEDED else [RULE_SEED]
    assert run.arm == name
    assert [(key.symbol, key.seed) for key in run.keys] == [
        (symbol, seed) for symbol in trained_field.folds[0].test for seed in seeds
    ]
    assert {key.arm for key in run.keys} == {name}
    equity, share = run.ledger.equity, (run.ledger.position / run.ledger.equity).abs()
    assert bool(torch.isfinite(equity).all())
    assert bool((share > 0).any()) or name in WARY
    if name == "kelly":
        given = next(fit for fit in runs[0].openers.fits if fit["arm"].iloc[0] == name)
        assert bool((share > 0).any()) == bool((given["share_pct"] > 0).any())
    # Prices carry a position past the limit that its order was held to; a short that loses far beyond.
    held = run.ledger.position.abs()
    bought = share[1:][held[1:] > 1.15 * held[:-1]]
    asked = bought if name in FREE else share
    assert float(torch.cat([asked.flatten(), torch.zeros(1)]).max()) < 1.3 * position_limit_frac(trained_field.account)


@pytest.mark.parametrize("name", [name for name in ARMS if name not in FREE])
def test_a_sizer_holds_the_signals_side_or_nothing(trained_field, runs, name):
    run, market = runs[1][name], trained_field.market
    for path, key in enumerate(run.keys):
        decided = market.direction[key.start_row : key.start_row + key.length - 1].double()
        held = run.ledger.position[1 : key.length, path]
        # Nothing against the side that was decided at the close before, and nothing where there was none.
        assert bool((held * decided >= 0).all())
        assert bool((held[decided == 0] == 0).all())


def test_seeds_are_walked_by_their_own_parts(runs):
    for name in SEEDED:
        run = runs[1][name]
        first, second = ([path for path, key in enumerate(run.keys) if key.seed == seed] for seed in (1, 2))
        assert not torch.equal(run.ledger.position[:, first], run.ledger.position[:, second]), name


def test_a_table_reads_regimes_by_its_arms_rule(trained_field, runs):
    arm = trained_field.arms["q_table"].model_copy(update={"regime_rule": "fixed"})
    field = trained_field.field(arms={**trained_field.arms, "q_table": arm})
    sizer = field.openers.tables("q_table", runs[1]["q_table"].keys)
    np.testing.assert_array_equal(sizer._regime, trained_field.market.regime_fixed.numpy())


def test_what_was_fitted_is_kept_for_the_report(runs):
    field = runs[0]
    assert [fit["arm"].iloc[0] for fit in field.openers.fits] == FITTED
    assert {fit["scheme"].iloc[0] for fit in field.openers.fits} == {"rolling"}


@pytest.mark.parametrize("name", LEARNED)
def test_an_arm_that_was_not_trained_is_named(trained_field, tmp_path, name):
    with pytest.raises(DataMissingError, match="train"):
        trained_field.field(policies=tmp_path).walk(name)
    more = trained_field.field(seeds=(1, 2, 3))
    with pytest.raises(DataMissingError, match="fold0_seed3"):
        more.walk(name)


@pytest.mark.parametrize("name", ["dqn", "outcome_ensemble"])
def test_other_rules_than_those_of_training_are_refused(trained_field, name):
    other = trained_field.outcome.model_copy(update={"win_window": 7})
    with pytest.raises(CheckpointError, match=r"trained with outcome\.win_window 20, params\.yaml says 7"):
        trained_field.field(outcome=other).walk(name)


# Exposure-matched ATR.


def test_the_matched_arm_carries_on_train_what_the_candidate_carries(trained_field, runs):
    fit = next(fit for fit in runs[0].openers.fits if fit["arm"].iloc[0] == "atr_exposure_matched")
    carried = trained_field.field().openers.train_exposure("ppo")
    assert list(carried) == list(fit.index) == [0]
    assert fit["target_pct"].tolist() == pytest.approx([100.0 * carried[0]])
    assert fit["reached"].all()
    assert fit["exposure_pct"].tolist() == pytest.approx(fit["target_pct"].tolist(), rel=1e-6)


def test_exposure_is_pooled_over_symbols_and_seeds(trained_field):
    """Twin: each symbol and seed walked alone over its train slice."""
    market, fold = trained_field.market, trained_field.folds[0]
    held, bars = 0.0, 0
    for symbol, part in fold.train.items():
        start, stop = market.rows(symbol, part)
        for seed in trained_field.seeds:
            agent = load_agent(policy_folder(trained_field.policies, "ppo", fold, seed))
            key = PathKey("ppo", symbol, 0, seed, start, stop - start, next(iter(market.confidence)))
            sizer = policies_sizer(market, "ppo", [key], [fold], {(0, seed): agent})
            held += mean_exposure(walk(market, [key], sizer, trained_field.world)) * (stop - start)
            bars += stop - start
    assert trained_field.field().openers.train_exposure("ppo")[0] == pytest.approx(held / bars, rel=1e-9)


@pytest.mark.parametrize("other", ["q_table", "dqn", "atr"])
def test_only_a_policy_can_be_matched(trained_field, other):
    arm = AtrMatchedArm(kind="atr_exposure_matched", matches=other)
    field = trained_field.field(arms={**trained_field.arms, "matched": arm})
    with pytest.raises(ConfigError, match=f"^arm '{other}' is no PPO arm: atr_exposure_matched can match only"):
        field.walk("matched")


# A clone.


def test_a_clone_of_atr_differs_by_nothing(quick, trained_field):
    market = trained_field.market
    field = trained_field.field(arms={"atr": trained_field.arms["atr"], "clone": trained_field.arms["atr"]})
    ledgers = []
    for name in ("atr", "clone"):
        parts = [equity for equity, _ in frames(field.walk(name), market, stop_atr=1.5)]
        ledgers.append(pd.concat(parts, ignore_index=True))
    difference = daily_difference(*ledgers)
    assert len(difference) > 30
    assert (difference == 0.0).all()


def test_a_folder_says_scheme_fold_and_seed(trained_field):
    fold = replace(trained_field.folds[0], scheme="anchored", number=3)
    folder = policy_folder(trained_field.policies, "ppo", fold, 2)
    assert folder == trained_field.policies / "ppo" / "anchored_fold3_seed2"
