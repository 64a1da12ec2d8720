"""Checkpoints on a planted market: what is learned is seen, and what does not hold on the tail gives way to the rule."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from sizewise.base.errors import ConfigError
from sizewise.dataset.confidence import confidence_column
from sizewise.dataset.features import NAMES, Scaler
from sizewise.dataset.splits import Fold, Slice, tail_of
from sizewise.learning.adam import Adam
from sizewise.learning.ppo import training
from sizewise.learning.ppo.encoders import MarketView
from sizewise.learning.ppo.lessons import LEAST_DECISIONS, Settings, prepare
from sizewise.learning.ppo.scores import Ground, matched, yardsticks_of
from sizewise.learning.ppo.selection import DECLINING, WHOLE
from sizewise.params.arms import Arms, AtrArm, ConstantArm, MultiplesOf, VolTargetArm
from sizewise.params.dataset.observation import Observation
from sizewise.params.dataset.regimes import Regimes
from sizewise.params.dataset.signals import Signals
from sizewise.params.evidence.slices import Slices
from sizewise.params.learning.train import DecliningTail, Train
from sizewise.params.trading.account import Account
from sizewise.params.trading.decisions import Decisions
from sizewise.params.trading.rewards import DifferentialSharpe, LogGrowth, RiskPriced
from sizewise.params.trading.trading import Rules
from sizewise.params.trading.world import World
from sizewise.sizing.walks.leaps import Paths, mark_rows
from sizewise.trading.priced import priced_growth

from ....hand_market import make_market

ROWS, PURGE = 1500, 10
LEARN = Slice(20, ROWS - 20)
HEAD, TAIL = tail_of(LEARN, tail_frac=0.3, purge_bars=PURGE)
MULTIPLES = MultiplesOf(kind="multiples_of", base=AtrArm(kind="atr", risk_frac=0.002))
TRAIN = Train(
    seeds=(1,),
    hidden=(8, 8),
    reward=RiskPriced(),
    groups=16,
    replicas=4,
    horizon=16,
    iterations=12,
    minibatches=4,
    learning_rate=1e-2,
    gamma=0.5,
    gae_lambda=0.5,
    validate_every=4,
    validation_frac=0.3,
)
WORLD = World(
    Account(safety_buffer_frac=0.0, max_position_frac=1.0),
    Rules(rounding=False, day_trade_limit=False),
    Decisions(every="bar", count=4),
)
RULES = {
    "constant": ConstantArm(kind="constant", size_frac=0.05),
    "atr": AtrArm(kind="atr", risk_frac=0.002),
    "vol_target": VolTargetArm(kind="vol_target", annual_vol_frac=0.1),
}


def fold_of() -> Fold:
    edge = pd.Timestamp("2020-01-01", tz="UTC")
    return Fold("rolling", 0, edge, edge, {"S0": LEARN, "S1": LEARN}, {})


def world_of(*, tail_edge: float = 1.0):
    """Two symbols whose first feature says whether the signal is right; on the tails it says so times `tail_edge`."""
    rng = np.random.default_rng(5)
    said = np.repeat(rng.choice([-1.0, 1.0], 2 * ROWS // 20), 20)
    direction = np.repeat(rng.choice([-1, 1], 2 * ROWS // 20), 20).astype(np.int8)
    edge = np.ones(2 * ROWS)
    for first in (0, ROWS):
        edge[first + TAIL.start : first + ROWS] = tail_edge
    moves = 0.003 * edge * said * direction + rng.normal(0.0002, 0.005, 2 * ROWS)
    features = rng.normal(size=(2 * ROWS, 55)).astype(np.float32)
    features[:, 0] = said
    market = make_market(
        ROWS, symbols=2, bar_return=moves, gap_return=np.zeros(2 * ROWS), direction=direction, features=features,
        elapsed_days=np.full(2 * ROWS, 1 / 24),
    )  # fmt: skip
    return replace(market, confidence={confidence_column(fold_of()): torch.full((2 * ROWS,), 0.5)})


def settings_of(**changes: object) -> Settings:
    seen = Observation(window_bars=1, inputs=("ret_1", "gap_ret"))
    train = TRAIN.model_copy(update=changes)
    return Settings(train, seen, WORLD, Regimes(), Signals(), PURGE, yardsticks=RULES)


def trained(market, **changes: object) -> training.Trained:
    job = training.Job("mine", fold_of(), 1, MULTIPLES)
    models = {confidence_column(fold_of()): None}
    return training.train_population(market.to("cpu", torch.float32), [job], models, settings_of(**changes))[0]


@pytest.fixture(scope="module")
def market():
    return world_of()


@pytest.fixture(scope="module")
def learned(market):
    return trained(market)


def test_what_was_learned_is_held_against_rules_of_its_risk(learned):
    against = dict(learned.against)
    assert list(against) == ["cash", "candidate", "constant", "atr", "vol_target"]
    assert against["cash"] == 0.0
    assert against["candidate"] > max(score for name, score in against.items() if name != "candidate")


def test_a_learner_that_learns_nothing_shows(market):
    """The rule itself is not above the best of rules."""
    still = trained(market, learning_rate=1e-12)
    assert still.agent.origin["iteration"] == 0
    assert still.against["candidate"] <= max(score for name, score in still.against.items() if name != "candidate")


def test_the_curve_begins_with_the_rule(learned, market):
    still = trained(market, learning_rate=1e-12, iterations=1)
    assert [row["iteration"] for row in learned.curve] == [0.0, 4.0, 8.0, 12.0]
    assert learned.curve[0]["samples"] == 0.0
    for name in ("tail_bps", "head_bps"):
        assert learned.curve[0][name] == pytest.approx(still.curve[-1][name])
        assert learned.curve[-1][name] > learned.curve[0][name]
    assert [row["tail_bps"] for row in learned.curve[1:]] == [
        row["validation_bps_per_day"] for row in learned.history if "validation_bps_per_day" in row
    ]


def test_the_best_checkpoint_on_the_tail_is_kept(learned):
    best = max(learned.curve, key=lambda row: row["tail_bps"])
    assert learned.agent.origin["iteration"] == best["iteration"] > 0
    assert learned.agent.origin["validation_bps_per_day"] == pytest.approx(best["tail_bps"])


def test_the_rule_is_kept_where_what_was_learned_fails_on_the_tail():
    found = trained(world_of(tail_edge=-1.0))
    assert found.agent.origin["iteration"] == 0
    assert found.curve[-1]["head_bps"] > found.curve[0]["head_bps"]
    assert found.curve[-1]["tail_bps"] < found.curve[0]["tail_bps"]
    greedy = found.agent.parameters["actor_b3"].argmax()
    assert int(greedy) == MULTIPLES.reference


# What a lesson measures.


def lesson_of(market, **changes: object):
    job = training.Job("mine", fold_of(), 1, MULTIPLES)
    return prepare(market, job, settings_of(**changes), None)


def test_risk_is_priced_on_the_heads_alone(market):
    shaken = market.tape.column("close").clone()
    for first in (0, ROWS):
        shaken[first + TAIL.start : first + ROWS] *= 3.0
    other = replace(market, tape=market.tape.changed(close=shaken))
    one, two = lesson_of(market), lesson_of(other)
    assert one.price == two.price > 1.0
    assert torch.equal(one.reward_scale, two.reward_scale)
    assert one.heads == {"S0": [HEAD], "S1": [HEAD]}
    assert one.tails == {"S0": [TAIL], "S1": [TAIL]}


def test_plain_growth_and_a_ratio_have_their_own_scales(market):
    plain, ratio, given = (
        lesson_of(market, reward=reward)
        for reward in (LogGrowth(), DifferentialSharpe(accept_relative=True), RiskPriced(price=7.0))
    )
    assert (plain.price, given.price) == (1.0, 7.0)
    assert torch.equal(ratio.reward_scale, torch.ones(2))
    assert ratio.price == lesson_of(market).price


def test_without_a_rule_or_a_price_risk_has_none(market):
    job = training.Job("mine", fold_of(), 1)
    with pytest.raises(ConfigError, match="prices risk by a rule, and arm mine chooses no multiples of one"):
        prepare(market, job, settings_of(), None)
    assert prepare(market, job, settings_of(reward=RiskPriced(price=3.0)), None).price == 3.0


def test_a_slice_of_few_decisions_teaches_nothing(market):
    decides = torch.zeros(2 * ROWS, dtype=torch.bool)
    decides[20:ROWS:4] = True
    decides[ROWS + 20 : ROWS + 20 + LEAST_DECISIONS - 1] = True
    job = training.Job("mine", fold_of(), 1, MULTIPLES)
    lesson = prepare(market, job, settings_of(reward=LogGrowth()), decides)
    assert set(lesson.ranges.symbols) == {0}
    assert set(lesson.tails) == {"S0", "S1"}
    assert training.budget_of(TRAIN.model_copy(update={"horizon": 4000}), lesson.most_steps) == (
        lesson.most_steps // 2,
        381,
    )


# Scores.


def test_a_score_is_the_mean_over_symbols_of_priced_growth_a_day(market):
    ground = Ground.of(market, WORLD, [torch.zeros(2 * ROWS)], follows_signal=True, chunk_steps=50)
    paths = Paths.of([(10, 58, 0, 0), (58, 82, 0, 0), (1510, 1534, 0, 1)])
    returned = torch.tensor([[0.01, 0.0, -0.02], [0.0, 0.02, 0.0]], dtype=torch.float64)
    one, two, three = priced_growth(torch.tensor([0.01, 0.02, -0.02], dtype=torch.float64), 5.0).tolist()
    expected = ((one + two) / ((47 + 23) / 24) + three / (23 / 24)) / 2.0
    assert ground.scores(returned, paths, [5.0]).item() == pytest.approx(expected)


def test_accounts_begin_anew_after_some_decisions(market):
    ground = Ground.of(market, WORLD, [torch.zeros(2 * ROWS)], follows_signal=True, chunk_steps=50)
    paths = ground.paths([{"S0": [HEAD]}, {"S1": [TAIL]}])
    assert int(paths.length.sum()) == len(HEAD) + len(TAIL)
    assert int(paths.length[paths.owner == 0].max()) < 400 < len(HEAD)
    whole = replace(ground, chunk_steps=10_000).paths([{"S0": [HEAD]}])
    assert whole.length.tolist() == [len(HEAD)]


def test_matched_returns_have_the_references_squares():
    paths = Paths.of([(0, 5, 0, 0), (5, 10, 0, 0), (10, 15, 0, 1)])
    returned = torch.tensor([[0.1, -0.2, 0.0], [0.0, 0.1, 0.0]], dtype=torch.float64)
    reference = torch.tensor([[0.3, 0.0, 0.1], [0.1, 0.0, 0.2]], dtype=torch.float64)
    found = matched(returned, reference, paths)
    assert found[:, :2].square().sum().item() == pytest.approx(reference[:, :2].square().sum().item())
    assert not found[:, 2].any()
    assert (found[0, 1] / found[0, 0]).item() == pytest.approx(-2.0)


def test_yardsticks_are_the_first_of_their_kinds():
    given = {"a": {"kind": "atr"}, "b": {"kind": "atr", "risk_frac": 0.01}, "c": {"kind": "oracle_hindsight"}}
    arms = Arms.model_validate({"arms": given}).arms
    assert yardsticks_of(arms) == {"atr": arms["a"]}


# What a policy reads, and what holds it back.


def test_a_view_of_some_inputs_is_that_of_all_without_the_others(market):
    known, scaler = [market.confidence[confidence_column(fold_of())]], Scaler((0.1,) * 56, (2.0,) * 56)
    scalers = [{"S0": scaler, "S1": scaler}]
    rows, symbols = torch.tensor([[700, 40]]), torch.tensor([[0, 0]])
    whole = MarketView(market, known, scalers, 3).segments(rows, symbols, 4)
    for names in (("gap_ret", "ret_1"), ("signal_confidence", "adx_14")):
        some = MarketView(market, known, scalers, 3, names).segments(rows, symbols, 4)
        places = sorted(NAMES.index(name) for name in names)
        assert torch.equal(some, whole[..., places])
    rows, symbols = torch.tensor([44, 702]), torch.zeros(2, dtype=torch.int64)
    picked = MarketView(market, known, scalers, 3, ("ret_1",)).at_rows(0, rows, symbols)
    assert torch.equal(picked[0, 1, :, 0], whole[0, 0, 2:5, 0])


def test_an_input_that_is_no_feature_is_refused(market):
    with pytest.raises(ConfigError, match=r"observation\.inputs names 'moon', which is no feature"):
        MarketView(market, [market.confidence[confidence_column(fold_of())]], [{}], 1, ("ret_1", "moon"))


def test_weights_decay_and_biases_do_not():
    parameters = {"w": torch.ones((2, 3, 4)), "b": torch.ones((2, 4))}
    still = {name: torch.zeros_like(value) for name, value in parameters.items()}
    active = torch.tensor([True, False])
    Adam(parameters).step(parameters, still, 0.1, 1.0, active, weight_decay=0.5)
    torch.testing.assert_close(parameters["w"][0], torch.full((3, 4), 0.95))
    assert torch.equal(parameters["w"][1], torch.ones((3, 4)))
    assert torch.equal(parameters["b"], torch.ones((2, 4)))


# Declining days of the tail.


def test_only_steps_from_chosen_rows_count(market):
    ground = Ground.of(market, WORLD, [torch.zeros(2 * ROWS)], follows_signal=True, chunk_steps=50)
    paths = Paths.of([(10, 58, 0, 0), (1510, 1534, 0, 1)])
    rows = mark_rows(market, paths, ground.marks)
    day = market.tape.column("day")[:, 0]
    # The second step of the first path alone; nothing of the other symbol.
    chosen = torch.zeros(2 * ROWS, dtype=torch.bool)
    chosen[rows[1, 0]] = True
    counted, without = ground.counted(paths, chosen)
    assert without.tolist() == [False]
    assert counted.steps.nonzero().tolist() == [[1, 0]]
    returned = torch.full((len(rows) - 1, 2), 0.01, dtype=torch.float64)
    growth = priced_growth(torch.tensor(0.01, dtype=torch.float64), 5.0)
    expected = growth / (day[rows[2, 0]] - day[rows[1, 0]])
    assert ground.scores(returned, paths, [5.0], counted).item() == pytest.approx(expected.item())


def test_where_nothing_is_chosen_the_whole_tail_counts_as_ever(market):
    ground = Ground.of(market, WORLD, [torch.zeros(2 * ROWS)] * 2, follows_signal=True, chunk_steps=50)
    paths = Paths.of([(10, 58, 0, 0), (1510, 1534, 0, 1), (10, 58, 1, 0)])
    rows = mark_rows(market, paths, ground.marks)
    chosen = torch.zeros(2 * ROWS, dtype=torch.bool)
    chosen[rows[0, 1]] = True
    counted, without = ground.counted(paths, chosen)
    assert without.tolist() == [False, True]
    rng = np.random.default_rng(1)
    # A path that is over earns nothing.
    returned = torch.from_numpy(rng.normal(0.0, 0.01, (len(rows) - 1, 3))) * (rows[1:] > rows[:-1])
    one, two = ground.scores(returned, paths, [5.0, 5.0], counted).tolist()
    assert two == ground.scores(returned, paths, [5.0, 5.0])[1].item()
    assert one != ground.scores(returned, paths, [5.0, 5.0])[0].item()


def test_marks_are_where_returns_begin_and_end(market):
    ground = Ground.of(market, WORLD, [torch.zeros(2 * ROWS)], follows_signal=True, chunk_steps=50)
    paths = Paths.of([(10, 58, 0, 0), (1510, 1534, 0, 1)])
    rows = mark_rows(market, paths, ground.marks)
    returned = ground.rules({"constant": RULES["constant"]}, paths)["constant"]
    assert len(rows) == len(returned) + 1
    assert rows[-1].tolist() == [57, 1533]
    assert not returned[rows[1:] == rows[:-1]].any()


DECLINING_DAYS = DecliningTail(kind="declining", declining_days=2, declining_frac=0.005)


def test_a_checkpoint_is_picked_on_declining_days(market):
    """Another score than the whole tail's, of the same policies."""
    plain, declining = trained(market), trained(market, select_on=DECLINING_DAYS)
    assert [row["head_bps"] for row in plain.curve] == [row["head_bps"] for row in declining.curve]
    assert [row["tail_bps"] for row in plain.curve] != [row["tail_bps"] for row in declining.curve]
    assert declining.agent.origin["selected_on"] == DECLINING
    assert "selected_on" not in plain.agent.origin
    best = max(declining.curve, key=lambda row: row["tail_bps"])
    assert declining.agent.origin["iteration"] == best["iteration"]


def test_without_a_declining_day_the_whole_tail_picks_and_it_is_told(market):
    never = DecliningTail(kind="declining", declining_days=2, declining_frac=1.0)
    plain, fallen = trained(market), trained(market, select_on=never)
    assert [row["tail_bps"] for row in plain.curve] == [row["tail_bps"] for row in fallen.curve]
    assert fallen.agent.origin["selected_on"] == WHOLE


def test_declining_days_are_by_default_those_of_the_reports():
    given, rules = DecliningTail(kind="declining"), Slices()
    assert (given.declining_days, given.declining_frac) == (rules.declining_days, rules.declining_frac)


def test_a_training_that_asks_for_the_tail_is_the_trial_it_was():
    assert "select_on" not in TRAIN.model_dump()
    assert TRAIN.model_copy(update={"select_on": DECLINING_DAYS}).model_dump()["select_on"]["declining_days"] == 2
