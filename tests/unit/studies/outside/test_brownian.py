"""Geometric Brownian motions: bars that are lognormal, an optimum that is Kelly's, and outcomes that follow the shares."""

import numpy as np
import pytest
from scipy import stats

from sizewise.params.studies.outside import Brownian, BrownianMarket
from sizewise.studies.known_answers.study import DIRECT, PPO
from sizewise.studies.outside import brownian
from sizewise.studies.outside.brownian import Result, Task, kelly_growth, kelly_share, law_of
from sizewise.studies.outside.predictions import FAILED, HELD, OPEN
from sizewise.studies.planted.answers import solve

LEVELS = tuple(0.1 * i for i in range(17))
RULES = Brownian(risk_levels=LEVELS, markets={"index": BrownianMarket(drift=0.08, volatility=0.20)})
MARKET = RULES.markets["index"]


def test_bars_have_the_moments_of_a_lognormal_return():
    law = law_of("index", MARKET, RULES)
    moves, chances = np.array(law.moves[0]), np.array(law.chances[0])
    scale = MARKET.volatility / np.sqrt(RULES.bars_per_year)
    exact = stats.lognorm(s=scale, scale=np.exp((MARKET.drift - 0.5 * MARKET.volatility**2) / RULES.bars_per_year))
    for power in (1, 2, 3, 4):
        assert chances @ (1.0 + moves) ** power == pytest.approx(exact.moment(power), rel=1e-12)
    assert chances @ moves == pytest.approx(np.expm1(MARKET.drift / RULES.bars_per_year))


@pytest.mark.parametrize(("drift", "volatility"), [(0.08, 0.20), (0.12, 0.16), (0.30, 0.60)])
def test_the_optimum_of_these_bars_is_kellys_share(drift, volatility):
    market = BrownianMarket(drift=drift, volatility=volatility)
    answer = solve(law_of("any", market, RULES))
    assert answer.optimal_size[0] == pytest.approx(kelly_share(market), rel=5e-3)
    assert RULES.bars_per_year * answer.optimal_growth == pytest.approx(kelly_growth(market), rel=5e-3)


def test_levels_are_of_risk_and_say_nothing_of_the_drift():
    calm = BrownianMarket(drift=0.5, volatility=0.20)
    assert law_of("a", calm, RULES).levels == law_of("b", MARKET, RULES).levels == tuple(x / 0.2 for x in LEVELS)


@pytest.mark.parametrize("arm", [PPO, DIRECT])
def test_a_task_trains_and_is_judged(arm, params):
    train = params.laboratory.train.model_copy(update={"groups": 16, "replicas": 2, "hidden": (8, 8), "minibatches": 2})
    lessons = params.laboratory.direct.model_copy(update={"groups": 16, "passes": 3})
    lab = params.laboratory.model_copy(update={"train": train, "direct": lessons})
    given = brownian._Given(RULES.model_copy(update={"iterations": 2}), lab)
    found = brownian.run_task(given, Task("index", arm, 1))
    assert found.share <= 1.0
    assert 0.0 <= found.size <= max(LEVELS) / MARKET.volatility
    assert found.curve
    assert found == brownian.run_task(given, Task("index", arm, 1))


def made(shares, bars, arm=PPO) -> list[Result]:
    """Seeds with these shares, near the optimum from these many bars on; below 0 they are trained for as many in vain."""
    curves = [((10, 0.1), (abs(seen), 0.95 if seen > 0 else 0.5)) for seen in bars]
    return [
        Result(Task("index", arm, seed), 2.0 * share, share, curve)
        for seed, (share, curve) in enumerate(zip(shares, curves, strict=True), start=1)
    ]


@pytest.mark.parametrize(
    ("shares", "bars", "outcomes"),
    [
        ((0.97, 0.98, 0.99), (1_000, 2_000, 3_000), [HELD, FAILED]),
        ((0.97, 0.98, 0.99), (1_000_000, 2_000_000, -1_000_000), [HELD, HELD]),
        ((0.97, 0.98, 0.99), (1_000, 2_000_000, 3_000_000), [HELD, OPEN]),
        ((0.50, 0.51, 0.52), (-1_000_000,) * 3, [FAILED, HELD]),
        # Nobody came there, and nobody was trained for as long.
        ((0.50, 0.51, 0.52), (-1_000,) * 3, [FAILED, OPEN]),
        ((0.50, 0.95, 0.99), (1_000, 1_000, -1_000_000), [OPEN, OPEN]),
    ],
)
def test_outcomes_follow_shares_and_steps(shares, bars, outcomes):
    results = made(shares, bars)
    table = brownian.share_table(results, RULES, 4)
    found = brownian.predictions(results, table, RULES, 4)
    assert [one.outcome for one in found] == outcomes
    assert f"{sum(seen > 0 for seen in bars)} of 3 runs came there" in found[-1].found


def test_the_table_tells_seeds_and_steps():
    results = [*made((0.9, 0.95, 1.0), (100, 200, 300)), *made((1.0, 1.0), (50, -60), arm=DIRECT)]
    table = brownian.share_table(results, RULES, 4)
    row = table.loc[("index", PPO)]
    assert (row["share"], row["lowest seed"]) == (pytest.approx(95.0), pytest.approx(90.0))
    assert (row["bars to near"], row["steps to near"], row["bars to stay near"]) == (200.0, 800.0, 200.0)
    assert row["kelly"] == pytest.approx(2.0)
    assert np.isnan(table.loc[("index", DIRECT), "bars to near"])
    assert brownian.answers_table(RULES).loc["index", "Kelly's share"] == pytest.approx(2.0)
