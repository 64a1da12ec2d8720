"""Redrawn seeds under the primary test: against a plain loop, and where they leave no verdict."""

import numpy as np
import pandas as pd
import pytest

from sizewise.evidence.inference import MARKET_ALONE, compare, daily_difference
from sizewise.evidence.joint_rule import joint_test
from sizewise.evidence.seed_draws import classify, doubts_about
from sizewise.evidence.statistics.seeds import LEAST_SEEDS, SeedDraws

DAYS, BLOCKS = 80, 4


def arm(skill: np.ndarray, *, rng: int, folds: int = 2) -> pd.DataFrame:
    """One path a symbol, fold and seed: the same market for every seed, plus what the seed adds a day.

    Args:
        skill: (folds, seeds), log growth a day. The second symbol is live in the first fold alone.
    """
    frames = []
    for symbol in ("A", "B"):
        for fold in range(folds if symbol == "A" else 1):
            market = np.random.default_rng([rng, fold, ord(symbol)]).normal(0.0, 1e-3, DAYS)
            times = pd.date_range("2020-01-01", periods=DAYS + 1, tz="UTC") + pd.Timedelta(days=(DAYS + 1) * fold)
            for seed in range(skill.shape[1]):
                growth = np.concatenate([[0.0], market + skill[fold, seed]])
                frames.append(
                    pd.DataFrame(
                        {
                            "symbol": symbol,
                            "fold": fold,
                            "seed": seed,
                            "timestamp": times,
                            "equity": np.exp(growth.cumsum()),
                        }
                    )
                )
    return pd.concat(frames, ignore_index=True)


def run(skill: np.ndarray, **given: object):
    rule = arm(np.zeros((2, 1)), rng=7)
    settings = {"blocks": BLOCKS, "bootstrap_draws": 50, "bootstrap_block_days": 10} | given
    return compare(arm(skill, rng=3), rule, **settings), rule


def seed_days(skill: np.ndarray, rule: pd.DataFrame) -> dict[tuple[int, int], pd.Series]:
    """The daily difference of each fold and seed by itself."""
    whole = arm(skill, rng=3)
    return {
        (fold, seed): daily_difference(
            whole[(whole["fold"] == fold) & (whole["seed"] == seed)], rule[rule["fold"] == fold]
        )
        for fold in range(2)
        for seed in range(skill.shape[1])
    }


def test_the_error_of_training_is_that_of_its_definition():
    skill = np.random.default_rng(1).normal(0.0, 5e-4, (2, LEAST_SEEDS))
    result, rule = run(skill)
    days = seed_days(skill, rule)
    n = len(result.daily)
    variance = 0.0
    for fold in range(2):
        means = [days[fold, seed].sum() / n for seed in range(LEAST_SEEDS)]
        variance += np.var(means, ddof=1) / LEAST_SEEDS
    assert result.seeds.error == pytest.approx(np.sqrt(variance), rel=1e-9)
    market = joint_test(result.daily.to_numpy(), blocks=BLOCKS, alpha=0.05, power=0.8)
    alone = result.table.loc[MARKET_ALONE]
    assert alone["p_value"] == market.p_value < result.primary.p_value
    for name in ("blocks", "cosines"):
        own, widened = getattr(market, name), getattr(result.primary, name)
        assert widened.error == pytest.approx(np.hypot(own.error, result.seeds.error))
        assert widened.p_value > own.p_value


def test_redraws_are_those_of_a_plain_loop():
    """Each redraw averages as many seeds as there are, drawn with replacement in every fold."""
    skill = np.random.default_rng(2).normal(1e-4, 8e-4, (2, LEAST_SEEDS))
    result, rule = run(skill)
    days = seed_days(skill, rule)
    rng = np.random.default_rng(0)
    effects = []
    for _ in range(2000):
        parts = []
        for fold in range(2):
            chosen = rng.integers(0, LEAST_SEEDS, LEAST_SEEDS)
            parts.append(sum(days[fold, seed] for seed in chosen) / LEAST_SEEDS)
        effects.append(float(np.mean([part.mean() for part in np.array_split(pd.concat(parts).to_numpy(), BLOCKS)])))
    found = result.seeds.effects
    assert found.mean() == pytest.approx(np.mean(effects), abs=4.0 * np.std(effects) / np.sqrt(2000))
    assert found.std() == pytest.approx(np.std(effects), rel=0.08)
    assert found.mean() == pytest.approx(result.primary.mean, abs=4.0 * found.std() / np.sqrt(2000))


def test_a_verdict_of_the_draw_is_unstable_and_one_of_the_market_is_not():
    """One seed of ten that earns most: its luck decides. Ten alike: nothing is redrawn."""
    lucky = np.full((2, LEAST_SEEDS), 8e-4)
    lucky[:, 1] += 4e-3
    result, _ = run(lucky)
    assert result.seeds.unstable
    assert result.verdict == "inconclusive"
    assert result.doubts[0].startswith("unstable: other draws of the seeds change the class of the verdict's tests")
    alike, _ = run(np.full((2, LEAST_SEEDS), 2e-3))
    assert alike.seeds.changed_frac == 0.0
    assert alike.doubts == ()
    assert alike.verdict == "better"


def test_too_few_seeds_are_a_doubt_and_a_rule_alone_is_none():
    few, rule = run(np.full((2, 3), 2e-3))
    assert few.doubts == (f"3 seeds are too few to tell what training does: a verdict needs {LEAST_SEEDS}",)
    assert few.verdict == "inconclusive"
    alone = compare(arm(np.full((2, 1), 2e-3), rng=3), rule, blocks=BLOCKS, bootstrap_draws=50, bootstrap_block_days=10)
    assert (alone.seeds, alone.doubts, alone.verdict) == (None, (), "better")
    assert MARKET_ALONE not in alone.table.index


def test_both_arms_are_redrawn():
    skill = np.random.default_rng(3).normal(0.0, 5e-4, (2, LEAST_SEEDS))
    one = run(skill)[0].seeds.error
    settings = {"blocks": BLOCKS, "bootstrap_draws": 50, "bootstrap_block_days": 10}
    both = compare(arm(skill, rng=3), arm(skill, rng=5), **settings).seeds.error
    assert both == pytest.approx(np.sqrt(2.0) * one)


@pytest.mark.parametrize(
    ("mean", "p", "name"), [(1.0, 0.04, "better"), (-1.0, 0.04, "worse"), (1.0, 0.06, "inconclusive")]
)
def test_classes(mean, p, name):
    assert classify(mean, p, 0.05) == name


def test_five_percent_of_redraws_is_the_edge():
    draws = SeedDraws(10, 1e-4, np.zeros(100), np.zeros(100), 0.05)
    assert doubts_about(draws, "worse") == ()
    assert "(worse) in 6% of 100" in doubts_about(SeedDraws(10, 1e-4, np.zeros(100), np.zeros(100), 0.06), "worse")[0]
