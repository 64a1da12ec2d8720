"""The learner keeps what it saw, learns at closes, weighs by contribution and share, and finds which trades pay."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sizewise.base.errors import DecisionError, TrainingError
from sizewise.learning.closed_trades.learner import NONE_YET, ClosedTradeLearner
from sizewise.learning.closed_trades.lessons import Result
from sizewise.learning.closed_trades.models import gain_logits, mean_size, proposals
from sizewise.params.learning.outcome import Contributions

from ....hand_trades import ACCOUNT, RULES, planted_market
from .test_lessons import lessons_of

SEEDS = ("one", "two")


@pytest.fixture(scope="module")
def lessons():
    return lessons_of(planted_market(60))


@pytest.fixture(scope="module")
def many():
    return lessons_of(planted_market(240), changed(horizons_bars=(1, 3)))


def changed(rules=RULES, **values):
    return rules.model_copy(update=values)


def make(lessons, rules=RULES, kind="outcome_ensemble", names=SEEDS):
    return ClosedTradeLearner(lessons, rules, kind, ACCOUNT, names, [0])


def live_through(learner, stop=None):
    decisions = {}
    for closes, trade in learner.lessons.events():
        if stop is not None and learner.closes >= stop:
            return learner
        if closes:
            learner.close(decisions.pop(trade))
        else:
            decisions[trade] = learner.open(trade)
    return learner


def weights(learner):
    return torch.cat(
        [value.flatten(1) for layers in learner.networks.values() for value in layers.values()], dim=1
    ).clone()


def greedy(learner, trades, scalars=None):
    """Each model's sizes [S, B], and the ensemble's."""
    index = torch.as_tensor(trades)
    shape = (len(SEEDS), len(index))
    windows = learner.lessons.windows[index].expand(shape[0], -1, -1, -1)
    move = torch.from_numpy(learner.lessons.typical_move[learner.lessons.trades.symbol[trades]]).float()
    state = torch.zeros((*shape, 3)) if scalars is None else scalars
    found = proposals(learner.networks, windows, state, move, [0], learner.rules, learner.limit_frac)
    grid = torch.tensor(learner.rules.sizes)
    each = {model: grid[proposed.place].numpy() for model, proposed in found.items()}
    shares = {
        model: torch.from_numpy(learner.contributions()[:, [place]]) for place, model in enumerate(learner.models)
    }
    return each | {"ensemble": mean_size(found, shares, learner.rules).numpy()}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"replay": RULES.replay.model_copy(update={"prioritised": True})},
        {"gamma": 0.5, "double": False},
        {"horizons_bars": (1, 3)},
        {"every_size": False, "exploration": 0.5, "final_exploration": 0.5, "passes": 2},
    ],
    ids=["default", "prioritised", "next_trade", "horizons", "only_its_own_size"],
)
def test_it_finds_the_trades_that_pay(many, change):
    """The planted optimum: all of the limit where the edge is up, nothing where it is down; most trades of it lose."""
    rules = changed(**change)
    learner = make(many, rules)
    for _ in range(rules.passes):
        live_through(learner)
        learner.restart()
    fresh = lessons_of(planted_market(200, seed=1))
    learner.lessons = fresh
    up = fresh.windows[:, -1, 0] > 0
    best = np.where(up, 1.0, 0.0)
    worth = {name: float(np.abs(sizes - best).mean()) for name, sizes in greedy(learner, np.arange(len(fresh))).items()}
    assert max(worth.values()) < (0.05 if rules.every_size else 0.20), worth


def test_the_record_holds_what_was_proposed(lessons):
    learner = make(lessons, changed(exploration=0.0, final_exploration=0.0))
    expected = greedy(learner, [0])
    decision = learner.open(0)
    held = learner.log.record(decision)
    assert held.trade == 0
    assert learner.models == ("cnn", "dqn", "order_flow")
    assert held.contributions.tolist() == [[0.35, 0.45, 0.2]] * 2
    np.testing.assert_allclose(held.size, expected["ensemble"][:, 0])
    for place, model in enumerate(learner.models):
        np.testing.assert_allclose(np.array(RULES.sizes)[held.chosen[:, place]], expected[model][:, 0])
    assert held.equity.tolist() == [1000.0, 1000.0]


def test_contributions_differ_by_signal_with_the_models_certainty(many):
    """By certainty alone: every decision has shares of its own, and they are what it was sized and will be taught by."""
    learner = live_through(make(many, changed(exploration=0.0, final_exploration=0.0, contribution_certainty=1.0)), 120)
    decisions = [learner.open(trade) for trade in range(120, 140)]
    shares = np.stack([learner.log.record(decision).contributions for decision in decisions])
    np.testing.assert_allclose(shares.sum(axis=2), 1.0)
    assert (shares.std(axis=0) > 0.01).all()
    held = learner.log.record(decisions[0])
    proposed = np.array(RULES.sizes)[held.chosen]
    np.testing.assert_allclose(held.size, (proposed * held.contributions).sum(axis=1))
    slots = learner._memory.stored["weight"]
    learner.close(decisions[0])
    np.testing.assert_allclose(slots[slots.any(axis=(1, 2))][-1], held.contributions, rtol=1e-6)


def test_exploration_draws_from_the_whole_grid_and_falls(lessons):
    learner = make(lessons, changed(exploration=1.0, final_exploration=0.0))
    assert learner.exploration() == 1.0
    drawn = []
    decisions = [learner.open(trade) for trade in range(40)]
    for decision in decisions:
        drawn += learner.log.record(decision).chosen.ravel().tolist()
    assert set(drawn) == {0, 1, 2, 3, 4}
    for decision in decisions[:30]:
        learner.close(decision)
    assert learner.exploration() == pytest.approx(0.5)


def test_the_account_grows_by_the_size_held(lessons):
    learner = make(lessons)
    equity = np.full(2, ACCOUNT.initial_equity)
    decisions = {}
    for closes, trade in lessons.events():
        if not closes:
            decisions[trade] = learner.open(trade)
            np.testing.assert_allclose(learner.log.record(decisions[trade]).equity, equity, rtol=1e-12)
        else:
            size = learner.log.record(decisions[trade]).size
            learner.close(decisions[trade])
            equity = equity * (1.0 + learner.limit_frac * size * lessons.trades.unit_return[trade])


def test_a_model_without_contribution_is_neither_asked_nor_trained(lessons):
    lone = Contributions(cnn=0.6, dqn=0.0, order_flow=0.4)
    learner = live_through(make(lessons, changed(contributions=lone)))
    assert learner.models == ("cnn", "order_flow")
    assert learner.q_updates == 0
    assert learner.updates == learner.closes == len(lessons)


def test_the_step_is_proportional_to_the_contribution(lessons):
    """Adam's first step has the length of the learning rate, so contributions show in it alone."""
    moved = {}
    for share in (0.2, 0.4):
        learner = make(lessons, changed(contributions=Contributions(cnn=share, dqn=0.0, order_flow=1.0 - share)))
        before = learner.networks["cnn"]["conv_w"].clone()
        learner.close(learner.open(0))
        moved[share] = learner.networks["cnn"]["conv_w"] - before
    assert (moved[0.2] != 0).any()
    torch.testing.assert_close(moved[0.4], 2.0 * moved[0.2], rtol=1e-2, atol=1e-6)


def test_a_part_counts_by_its_share(lessons):
    moved = {}
    for share in (0.25, 0.5):
        learner = make(lessons)
        before = weights(learner)
        decision = learner.open(0, quantity=4.0)
        learner.close(decision, 4.0 * share)
        moved[share] = weights(learner) - before
        unit, held = lessons.trades.unit_return[0], learner.log.record(decision)
        gained = share * learner.limit_frac * held.size * unit * 1000.0
        np.testing.assert_allclose(learner._equity[:, 0] - 1000.0, gained)
        learner.close(decision)
        np.testing.assert_allclose(learner._equity[:, 0], 1000.0 * (1.0 + learner.limit_frac * held.size * unit))
        assert learner.updates == learner.closes == 2
        assert not len(learner.log)
    torch.testing.assert_close(moved[0.5], 2.0 * moved[0.25], rtol=1e-2, atol=1e-6)


def test_parts_have_results_of_their_own(lessons):
    """A quarter gains and the rest loses more: the trade lost, the samples are those of the parts."""
    learner = make(lessons)
    decision = learner.open(0, quantity=4.0)
    held = learner.log.record(decision)
    results = (Result(0.04, 0.04, -0.01, 2.0), Result(-0.02, -0.02, -0.03, 5.0))
    earned = [learner.close(decision, quantity, result=r) for quantity, r in zip((1.0, 3.0), results, strict=True)]
    for got, result in zip(earned, results, strict=True):
        np.testing.assert_allclose(got, np.log1p(learner.limit_frac * held.size * result.unit_return))
    stored = learner._memory.stored
    np.testing.assert_allclose(stored["unit"][:2], [0.04, -0.02], rtol=1e-6)
    np.testing.assert_allclose(stored["weight"][:2].sum(axis=2), [[0.25] * 2, [0.75] * 2], rtol=1e-6)
    whole = 0.25 * 0.04 - 0.75 * 0.02
    np.testing.assert_allclose(learner._equity[:, 0], 1000.0 * (1.0 + learner.limit_frac * held.size * whole))
    following = learner.log.record(learner.open(1))
    assert following.scalars[held.size > 0, 2].tolist() == [-1.0] * int((held.size > 0).sum())
    assert (held.size > 0).any()


def test_contributions_are_those_of_the_decision(lessons):
    learner = make(lessons)
    given = learner.open(0, contributions={"order_flow": 0.6, "cnn": 0.2})
    usual = learner.open(1)
    held = learner.log.record(given)
    assert held.contributions.tolist() == [[0.2, 0.0, 0.6]] * 2
    np.testing.assert_allclose(held.size, np.array(RULES.sizes)[held.chosen] @ [0.25, 0.0, 0.75])
    learner.close(usual)
    learner.close(given)
    np.testing.assert_allclose(learner._memory.stored["weight"][:2, 0], [[0.35, 0.45, 0.2], [0.2, 0.0, 0.6]], rtol=1e-6)


@pytest.mark.parametrize("wrong", [{"cob": 0.5}, {"cnn": 0.7, "dqn": 0.4}, {"cnn": -0.1, "dqn": 0.5}, {"dqn": 0.0}])
def test_contributions_that_are_none_open_nothing(lessons, wrong):
    learner = make(lessons)
    with pytest.raises(DecisionError, match="contribut"):
        learner.open(0, contributions=wrong)
    assert not len(learner.log)


def test_contributions_follow_what_each_models_proposals_earned(lessons):
    """Hedge, written out; at a rate of 0 they stay as declared for ever."""
    for rate in (0.0, 0.2):
        learner, decisions = make(lessons, changed(contribution_rate=rate)), {}
        record = np.zeros((2, 3))
        for closes, trade in lessons.events():
            if not closes:
                decisions[trade] = learner.open(trade)
                weight = np.array([0.35, 0.45, 0.2]) * np.exp(rate * record)
                held = learner.log.record(decisions[trade])
                np.testing.assert_allclose(held.contributions, weight / weight.sum(axis=1, keepdims=True), rtol=1e-6)
                continue
            chosen = learner.log.record(decisions[trade]).chosen
            learner.close(decisions[trade])
            sizes = learner.limit_frac * np.array(RULES.sizes)[chosen]
            record += np.log1p(sizes * lessons.trades.unit_return[trade]) / lessons.typical_growth[0]
        moved = np.abs(learner.contributions() - [0.35, 0.45, 0.2]).max()
        assert moved == 0.0 if rate == 0.0 else moved > 0.05
        assert (learner.contributions()[0] != learner.contributions()[1]).all() == (rate > 0.0)


def test_a_close_of_nothing_changes_nothing(lessons):
    learner = live_through(make(lessons), stop=40)
    before, equity, closes = weights(learner), learner._equity.copy(), learner.closes
    for wrong in (999, 0):
        with pytest.raises(DecisionError, match=f"decision {wrong} is not open"):
            learner.close(wrong)
    assert torch.equal(weights(learner), before)
    assert (learner._equity == equity).all()
    assert learner.closes == closes


def test_accounts_do_not_start_again_over_open_decisions(lessons):
    learner = make(lessons)
    learner.open(0)
    with pytest.raises(DecisionError, match="1 decisions are open: close them"):
        learner.restart()


def test_the_q_target_looks_ahead_to_the_account_s_next_trade():
    lessons = lessons_of(planted_market(6, symbols=2))
    learner = live_through(make(lessons, changed(gamma=0.9)))
    stored, symbol = learner._memory.stored, lessons.trades.symbol
    for slot in range(len(lessons)):
        trade, following = stored["trade"][slot], stored["next_trade"][slot]
        after = [t for t in range(len(lessons)) if t > trade and symbol[t] == symbol[trade]]
        assert following == (after[0] if after else NONE_YET)
        if after:
            other = int(np.flatnonzero(stored["trade"][: len(lessons)] == following)[0])
            np.testing.assert_array_equal(stored["next_scalars"][slot], stored["scalars"][other])


def test_tiny_moves_are_skipped_and_counted(lessons):
    small = np.abs(lessons.trades.price_return) < 0.015
    learner = live_through(make(lessons, changed(min_move_frac=0.015)))
    assert learner.skipped == small.sum() == len(lessons) - learner.updates
    assert learner.closes == len(lessons)
    assert not set(learner._memory.stored["trade"][: learner.updates]) & set(np.flatnonzero(small))
    assert small.any()


@pytest.mark.parametrize("statistic", ["loss", "gradient norm"])
def test_what_is_not_finite_or_explodes_stops_and_the_last_good_parameters_stay(lessons, statistic):
    rules = changed(exploding_norm=1e-12) if statistic == "gradient norm" else RULES
    unit = lessons.trades.unit_return.copy()
    if statistic == "loss":
        unit[0] = np.nan
    learner = make(replace(lessons, trades=replace(lessons.trades, unit_return=unit)), rules)
    before = weights(learner)
    with pytest.raises(TrainingError, match=rf"{statistic} of \w+ is \S+ at close 1: lower outcome.learning_rate"):
        learner.close(learner.open(0))
    assert torch.equal(weights(learner), before)
    assert all(not value.requires_grad for layers in learner.networks.values() for value in layers.values())


def test_the_label_is_that_of_the_side_entered(many):
    """Shorts that gain as the price falls teach the convolution that they gain."""
    lessons = many
    only = Contributions(cnn=1.0, dqn=0.0, order_flow=0.0)
    learner = live_through(make(lessons, changed(contributions=only)))
    logits = gain_logits(learner.networks["cnn"], lessons.windows.expand(2, -1, -1, -1))[0, :, 0].numpy()
    up, short = lessons.windows[:, -1, 0].numpy() > 0, lessons.trades.side < 0
    assert (logits[up & short] > 0).mean() > 0.95
    assert (logits[~up & short] < 0).mean() > 0.95
