"""The study of known answers: every market and seed, nothing picked, and words that follow the numbers."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sizewise.base.errors import ConfigError
from sizewise.studies.known_answers import study
from sizewise.studies.known_answers.study import DIRECT, ORDERS, PPO, TABLE_MARKETS, TABLES, Result, Task
from sizewise.studies.planted.answers import interval, solve
from sizewise.studies.planted.laws import Law
from sizewise.studies.planted.markets import constant_edge, laws, pure_noise, two_regime

from ....hand_joint import hand_joint

FIELDS = ["share_of_optimal_growth", "ci_low", "ci_high", "n_seeds"]


@pytest.fixture(scope="module")
def settings(params):
    """The study in miniature: its markets, learners and grid, with little to learn from."""
    train = params.laboratory.train.model_copy(
        update={"seeds": (1, 2), "hidden": (8, 8), "groups": 16, "replicas": 2, "iterations": 3, "minibatches": 2}
    )
    rules = params.laboratory.tabular.model_copy(update={"accounts": 50})
    orders = params.laboratory.orders.model_copy(update={"iterations": 2})
    lessons = params.laboratory.direct.model_copy(update={"groups": 16, "passes": 3})
    changes = {"exam_bars": 1001, "table_bars": 20_000, "longer": {}}
    return params.laboratory.model_copy(
        update=changes | {"train": train, "orders": orders, "direct": lessons, "tabular": rules}
    )


def result(market="two_regime", arm=PPO, seed=1, share=0.5, *, sizes=(), used=0.1, excess=()) -> Result:
    return Result(Task(market, arm, seed), share, share, 1e-4, tuple(sizes), used, np.array(excess))


# What is run.


def test_a_longer_training_of_no_market_is_refused(settings):
    odd = settings.model_copy(update={"longer": {"two_regimes": 5}})
    with pytest.raises(
        ConfigError, match=r"laboratory.longer names 'two_regimes', which is no market: markets are constant_edge"
    ):
        study.plan(odd)


def test_every_market_and_every_seed_is_planned(params):
    tasks = study.plan(params.laboratory)
    seeds = params.laboratory.train.seeds
    assert len(tasks) == len(set(tasks)) == len(seeds) * (len(laws()) + 1 + (1 + len(TABLES)) * len(TABLE_MARKETS))
    for seed in seeds:
        mine = [task for task in tasks if task.seed == seed]
        assert {task.market for task in mine if task.arm == PPO} == {*laws(), ORDERS.name}
        for arm in (DIRECT, *TABLES):
            assert {task.market for task in mine if task.arm == arm} == set(TABLE_MARKETS)


def test_what_is_asked_is_in_the_plan(params):
    planned = {(task.market, task.arm) for task in study.plan(params.laboratory)}
    assert {(market, arm) for market, arm, _ in study.TARGETS} <= planned
    asked = {(market, arm) for market, arm, least in study.TARGETS if least >= 0.95}
    assert asked >= {
        ("leaked_future", PPO),
        *((name, DIRECT) for name in ("constant_edge", "two_regime", "volatility_timing")),
    }


@pytest.mark.parametrize(
    "task",
    [
        Task("pure_noise", PPO, 1),
        Task("shuffled_two_regime", PPO, 1),
        Task("known_confidence", DIRECT, 1),
        Task("two_regime", "bandit", 1),
        Task("known_confidence", "q_table", 2),
        Task(ORDERS.name, PPO, 1),
    ],
    ids=lambda task: f"{task.market}-{task.arm}",
)
def test_a_task_trains_and_judges(settings, task):
    found = study.run_task(task, settings)
    assert found.task == task
    assert np.isfinite([found.share, found.growth]).all()
    if task.market == ORDERS.name:
        assert found.sizes == ()
        return
    law = laws()[task.market]
    assert len(found.sizes) == law.n_states
    assert 0.0 <= found.mean_abs_frac <= 1.0
    assert len(found.excess) == settings.exam_bars - 1


def test_some_markets_are_trained_for_longer(settings, monkeypatch):
    asked = []

    def watched(law, train, seed, **how):
        asked.append((law.name, train.iterations))
        return train_ppo(law, train.model_copy(update={"iterations": 1}), seed, **how)

    train_ppo = study.laboratory.train_ppo
    monkeypatch.setattr(study.laboratory, "train_ppo", watched)
    for name in ("two_regime", "constant_edge"):
        study.run_task(Task(name, PPO, 1), settings.model_copy(update={"longer": {"two_regime": 9}}))
    assert asked == [("two_regime", 9), ("constant_edge", 3)]


def test_what_is_trained_longer_is_a_market(params):
    assert set(params.laboratory.longer) <= set(laws())


def test_a_task_is_the_same_twice(settings):
    first, second = (study.run_task(Task("two_regime", PPO, 1), settings) for _ in range(2))
    assert first.share == second.share
    np.testing.assert_array_equal(first.excess, second.excess)
    assert study.run_task(Task("two_regime", PPO, 2), settings).share != first.share


def test_a_bandit_learns_the_two_regimes(settings):
    more = settings.model_copy(update={"table_bars": 100_000})
    found = study.run_task(Task("two_regime", "bandit", 1), more)
    assert found.share_of_grid > 0.8
    # Its grid holds less than the law's own levels, so that the optimum of the grid is no more than the law's.
    assert found.share_of_grid >= found.share
    assert found.sizes[0] > 2.0 > found.sizes[1]


def test_exams_are_each_seeds_own_and_not_the_bars_of_training():
    law = two_regime()
    one, same, two = (study.exam_of(law, 200, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.state, same.state)
    assert not np.array_equal(one.market.bar_return, two.market.bar_return)


@pytest.mark.parametrize("name", TABLE_MARKETS)
def test_bars_of_a_table_stay_inside_the_range_of_floats(name):
    law = laws()[name]
    bars = study.longest(law, 10_000_000)
    assert study.longest(law, 1000) == 1000
    prices = law.make(min(bars, 50_000), np.random.default_rng(0)).market.close.numpy()
    assert np.isfinite(prices).all()
    assert bars > 10_000


def test_a_law_of_large_moves_has_fewer_bars():
    def even(move: float) -> Law:
        tables = {"moves": ((-move, move),), "chances": ((0.5, 0.5),), "switch": ((1.0,),), "shown": ((),)}
        return Law(name="even", levels=(0.0, 1.0), regimes=(0,), side=(1,), **tables)

    assert study.longest(even(0.2), 10**9) < study.longest(even(0.1), 10**9) / 3


# Excess over the best constant size, and its test.


def judged(law: Law, sizes: np.ndarray, exam) -> Result:
    return study._judged(Task(law.name, PPO, 1), law, exam, sizes, 1.0)


def test_the_constant_itself_gains_nothing_over_itself(params):
    law = two_regime()
    exam = study.exam_of(law, 1001, 1)
    constant = judged(law, np.full(1001, solve(law).best_constant_size), exam)
    assert (constant.excess == 0.0).all()
    test = study.against_constant([constant], law.name, PPO, params.plan)
    assert (test.mean, test.p_value) == (0.0, 1.0)
    assert study.null_sentence(test, 0.05) == (
        "Shuffled signals: +0.00 bps a bar against the best constant size (95% +0.00 to +0.00, p = 1.00); the joint rule "
        "does not reject."
    )


def test_the_optimum_beats_the_constant(params):
    law = two_regime()
    exam = study.exam_of(law, 20_001, 1)
    best = judged(law, solve(law).optimal_size[exam.state], exam)
    assert best.share == pytest.approx(1.0)
    gain = exam.market.bar_return[1:].numpy()
    answer = solve(law)
    held = answer.optimal_size[exam.state[:-1]]
    np.testing.assert_allclose(best.excess, np.log1p(held * gain) - np.log1p(answer.best_constant_size * gain))
    assert best.sizes == tuple(answer.optimal_size)
    assert best.mean_abs_frac == pytest.approx(held.mean() / 8.0, rel=0.01)


def test_seeds_are_averaged_before_the_test(params):
    rng = np.random.default_rng(0)
    series = rng.normal(1.0, 1.0, (2, 800))
    results = [result(seed=seed, excess=row) for seed, row in enumerate(series)]
    others = [result("pure_noise", excess=rng.normal(size=800)), result(arm="bandit", excess=rng.normal(size=800))]
    test = study.against_constant([*results, *others], "two_regime", PPO, params.plan)
    blocks = series.mean(0).reshape(params.plan.blocks, -1).mean(1)
    expected = stats.ttest_1samp(blocks, 0.0)
    assert test.blocks.p_value == pytest.approx(expected.pvalue)
    assert test.mean == pytest.approx(blocks.mean())


@pytest.mark.parametrize(
    ("p_value", "said"), [(0.20, "does not reject."), (0.05, "does not reject."), (0.04, "rejects.")]
)
def test_what_is_said_of_shuffled_signals(p_value, said):
    test = hand_joint(1.234e-4, -1e-4, 3e-4, p_value)
    sentence = study.null_sentence(test, 0.05)
    assert sentence.endswith(f"the joint rule {said}")
    assert "+1.23 bps a bar" in sentence
    assert "(95% -1.00 to +3.00" in sentence


# Records and tables.


@pytest.fixture
def results() -> list[Result]:
    shares = {("two_regime", PPO): (0.97, 0.95, 0.99), ("two_regime", "bandit"): (0.80, 0.85, 0.90)}
    shares[ORDERS.name, PPO] = (0.5, 0.6, 0.7)
    return [
        result(market, arm, seed, share, sizes=() if market == ORDERS.name else (4.0, 0.1 * seed), used=0.01 * seed)
        for seed in (1, 2, 3)
        for (market, arm), share in ((key, values[seed - 1]) for key, values in shares.items())
    ]


def test_the_record_is_shares_by_market_and_arm(results, tmp_path):
    study.write_record(results, tmp_path / "metrics")
    found = json.loads((tmp_path / "metrics" / "known_answers.json").read_text())
    assert {market: list(arms) for market, arms in found.items()} == {"two_regime": [PPO, "bandit"], ORDERS.name: [PPO]}
    for arms in found.values():
        assert all(list(values) == FIELDS for values in arms.values())
    assert found["two_regime"][PPO] == pytest.approx(interval([0.97, 0.95, 0.99]))
    assert found["two_regime"][PPO]["n_seeds"] == 3
    assert list(tmp_path.joinpath("metrics").iterdir()) == [tmp_path / "metrics" / "known_answers.json"]


def test_curves_are_rows_of_learners_that_have_them(settings, tmp_path):
    learned = study.run_task(Task("two_regime", DIRECT, 1), settings)
    bars = [seen for seen, _ in learned.curve]
    assert bars == sorted(set(bars))
    assert bars[0] == settings.direct.groups * settings.direct.horizon
    assert bars[-1] <= settings.direct.passes * bars[0]
    study.write_curves([learned, result(arm="bandit")], tmp_path)
    table = pd.read_csv(tmp_path / "laboratory_curves.csv")
    assert list(table.columns) == ["market", "arm", "seed", "bars", "share"]
    assert set(table["arm"]) == {DIRECT}
    assert table["bars"].tolist() == bars
    np.testing.assert_allclose(table["share"], [share for _, share in learned.curve], atol=1e-6)


def test_the_table_tells_the_lowest_seed(results):
    table = study.share_table(results)
    row = table.loc[("two_regime", "bandit")]
    assert row["share"] == pytest.approx(0.85)
    assert row["lowest seed"] == 0.80
    assert row["low"] < 0.80 < 0.90 < row["high"]
    assert row[study.USED] == pytest.approx(2.0)
    assert row["seeds"] == 3


def test_learned_sizes_are_of_markets_traded_by_size(results):
    frame = study.learned_sizes(results)
    assert list(frame.columns) == ["market", "arm", "seed", "state", "size"]
    assert len(frame) == 2 * 3 * 2
    assert set(frame["market"]) == {"two_regime"}
    one = frame[(frame["arm"] == PPO) & (frame["seed"] == 2)]
    assert one["size"].tolist() == pytest.approx([4.0, 0.2])


@pytest.mark.parametrize(
    ("share", "verdict"), [(0.951, "95% reached"), (0.95, "95% reached"), (0.949, "95% missed"), (-0.2, "95% missed")]
)
def test_a_target_is_reached_or_missed_by_the_mean_of_all_seeds(share, verdict):
    table = study.share_table([result(seed=seed, share=share + d) for seed, d in ((1, -0.02), (2, 0.02))])
    sentence = study.answers_sentence(table, [("two_regime", PPO, 0.95)])
    assert sentence.startswith(f"- `ppo` in `two_regime`: {100 * share:.1f}% of the optimal growth (95% ")
    assert sentence.endswith(f"lowest seed {100 * (share - 0.02):.1f}%); {verdict}")


def test_each_target_has_its_line(results):
    targets = [("two_regime", PPO, 0.95), ("two_regime", "bandit", 0.90)]
    lines = study.answers_sentence(study.share_table(results), targets).splitlines()
    assert [line.rsplit("; ", 1)[1] for line in lines] == ["95% reached", "90% missed"]


@pytest.mark.parametrize(
    ("used", "said"), [(0.019, "1.90% of the cap, below the 2%"), (0.021, "2.10% of the cap, not below the 2%")]
)
def test_flat_is_a_share_of_the_cap(used, said):
    edge = constant_edge()
    chosen = 2.2 / max(edge.levels)
    results = [
        result(market, seed=seed, used=value)
        for market, value in (("pure_noise", used), ("constant_edge", chosen))
        for seed in (1, 2)
    ]
    sentence = study.flat_sentence(study.share_table(results))
    assert said in sentence
    assert "mean size 2.20 where 2.00 is best, 10.0% off." in sentence


def test_answers_are_of_every_law_of_sizes():
    found = study.answers()
    assert list(found) == list(laws())
    assert found["pure_noise"].optimal_growth == solve(pure_noise()).optimal_growth == 0.0
    assert isinstance(study.share_table([result(seed=1), result(seed=2)]), pd.DataFrame)


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        (
            (0.99, 0.76, 0.30),
            "99%, 76%, 30%: 1 of 3 find 90% of the optimum or more, 1 end within 5 points of one side",
        ),
        ((0.99, 0.98), "99%, 98%: 2 of 2 find 90% of the optimum or more, 0 end within 5 points of one side alone."),
    ],
)
def test_what_the_market_of_orders_comes_to_is_taken_apart(shares, said):
    results = [result(ORDERS.name, PPO, seed, share) for seed, share in enumerate(shares)]
    text = study.orders_sentence(results, 0.95)
    assert said in text
    assert "no more than its account shows earns 100.0% of the optimum" in text
    assert "so that observation and discount cost nothing" in text
    assert ("What is missing is search" in text) == (min(shares) < 0.9)
