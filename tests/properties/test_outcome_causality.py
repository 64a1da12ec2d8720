"""A result is nobody's before its exit has filled: neither a later trade's, nor anything after the train slice."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sizewise.learning.closed_trades.training import train_closed_trades
from sizewise.params.learning.outcome import ClosedTrades

from ..hand_market import priced, remade
from ..hand_trades import planted_market
from ..unit.learning.closed_trades.test_learner import make, weights
from ..unit.learning.closed_trades.test_lessons import lessons_of

RULES = ClosedTrades(window_bars=8, channels=4, hidden=8, flow_window_bars=4, horizons_bars=[1, 5])


def proposals_until_closed(lessons, poisoned, target):
    """Sizes and weights at every event up to the close of `target`, with its result changed or not."""
    changed = replace(lessons.trades, unit_return=lessons.trades.unit_return.copy())
    if poisoned:
        changed.unit_return[target] *= -3.0
    learner, decisions, seen = make(replace(lessons, trades=changed)), {}, []
    for closes, trade in lessons.events():
        if closes:
            learner.close(decisions.pop(trade))
            if trade == target:
                return seen, weights(learner)
        else:
            decisions[trade] = learner.open(trade)
            seen.append(learner.log.record(decisions[trade]).size.tolist())
    raise AssertionError("the trade never closed")


@pytest.mark.parametrize("target", [0, 25, 61])
def test_a_result_changes_nothing_before_its_close(target):
    lessons = lessons_of(planted_market(40, symbols=2))
    before, known = proposals_until_closed(lessons, False, target)
    after, moved = proposals_until_closed(lessons, True, target)
    assert before == after
    assert not torch.equal(known, moved)


@pytest.mark.parametrize("kind", ["dqn", "outcome_ensemble"])
def test_nothing_after_the_train_slice_reaches_a_policy(quick, kind):
    """Poison every row after each symbol's train slice: the trained parameters stay the same, bit for bit."""
    market, fold = quick.market.to("cpu", torch.float64), quick.folds["rolling"][0]
    spoilt = priced(market) | {name: getattr(market, name).clone() for name in ("features", "direction")}
    for symbol, part in fold.train.items():
        _, start = market.rows(symbol, part)
        stop = market.first_row[market.symbols.index(symbol)] + market.n_rows[market.symbols.index(symbol)]
        for name, values in spoilt.items():
            values[start:stop] = 1 if name == "direction" else values[start:stop] * 1.5
    other = remade(market, **spoilt)
    trained = [
        train_closed_trades(m, fold, [1], kind, kind, RULES, quick.params.account)[0].policy for m in (market, other)
    ]
    for model, layers in trained[0].networks.items():
        assert all(torch.equal(value, trained[1].networks[model][name]) for name, value in layers.items())
    assert trained[0].scalers == trained[1].scalers
    assert trained[0].typical_move == trained[1].typical_move


def test_a_peek_is_caught(quick):
    """The check above fails for a slice that ends later: it does see what the poison changes."""
    market, fold = quick.market.to("cpu", torch.float64), quick.folds["rolling"][0]
    longer = replace(fold, train={name: replace(part, stop=part.stop + 200) for name, part in fold.train.items()})
    spoilt = market.features.clone()
    for symbol, part in fold.train.items():
        _, start = market.rows(symbol, part)
        spoilt[start : start + 200] *= 1.5
    other = replace(market, features=spoilt)
    first, second = (
        train_closed_trades(m, longer, [1], "dqn", "dqn", RULES, quick.params.account)[0].policy
        for m in (market, other)
    )
    assert not np.array_equal(first.networks["dqn"]["first_w"], second.networks["dqn"]["first_w"])
