"""Stretches are the same decisions side by side, in time order, and what is seen is what PPO sees."""

import torch

from sizewise.dataset.market_tensor import fold_confidence
from sizewise.learning.direct.lessons import divide, lesson_of, scalers_of, stretched
from sizewise.learning.ppo.encoders import MarketView

from ....hand_direct import ATR, WORLD, fold_of, telling_market


def made(window_bars=1):
    market = telling_market()
    fold = fold_of(market)
    confidence = fold_confidence(market, fold)
    fit, tails = divide(fold, 0.2, 10)
    view = MarketView(market, [confidence], [scalers_of(market, confidence, fit)], window_bars)
    return market, fit, tails, view, lesson_of(market, fit, ATR, WORLD, confidence, view)


def test_the_tail_is_purged_and_learned_from_by_nobody():
    _, fit, tails, _, lesson = made()
    for symbol in fit:
        assert (fit[symbol][0].start, fit[symbol][0].stop) == (20, 314)
        assert (tails[symbol][0].start, tails[symbol][0].stop) == (324, 400)
    assert int(lesson.steps.row[:, 0].max()) < 314


def test_what_is_seen_is_a_window_of_the_market_oldest_first():
    market, _, _, view, lesson = made(window_bars=3)
    d, p = 5, 1
    row = lesson.steps.row[d, p].reshape(1, 1)
    expected = view.segments(row, lesson.steps.symbol[p].reshape(1, 1), 1)[0, 0].flatten().double()
    assert torch.equal(lesson.inputs.view(*lesson.asked.shape, -1)[d, p], expected)
    assert lesson.inputs.shape[1] == 3 * (market.features.shape[1] + 1)


def test_stretches_are_the_same_decisions_side_by_side():
    *_, lesson = made()
    length, (decisions, accounts) = 40, lesson.asked.shape
    cut = stretched(lesson, length)
    count = -(-decisions // length)
    assert cut.asked.shape == (length, count * accounts)
    for name in ("row", "direction", "closes", "alive"):
        wide = getattr(cut.steps, name).view(length, count, accounts).transpose(0, 1).flatten(0, 1)
        assert torch.equal(wide[:decisions], getattr(lesson.steps, name)), name
    assert float(cut.steps.alive.sum()) == float(lesson.steps.alive.sum())
    torch.testing.assert_close(cut.steps.days.view(count, accounts).sum(0), lesson.steps.days)
    assert torch.equal(cut.steps.symbol.view(count, accounts)[2], lesson.steps.symbol)


def test_a_stretch_begins_with_what_the_one_before_it_holds():
    *_, lesson = made()
    cut = stretched(lesson, 40)
    accounts = lesson.asked.shape[1]
    start = cut.start(2).view(2, -1, accounts)
    assert not bool(start[:, 0].any())
    assert start.shape[1] > 2
    for number in range(1, start.shape[1]):
        assert torch.equal(start[1, number], lesson.reference[40 * number])
    ends = torch.arange(float(start[0].numel())).view(1, -1)
    following = cut.following(ends).view(-1, accounts)
    assert following[0].tolist() == [0.0, 0.0]
    assert torch.equal(following[1:], ends.view(-1, accounts)[:-1])


def test_a_short_lesson_is_one_stretch_that_begins_flat():
    *_, lesson = made()
    assert stretched(lesson, 10_000) is lesson
    assert not bool(lesson.following(torch.ones((2, 2))).any())
