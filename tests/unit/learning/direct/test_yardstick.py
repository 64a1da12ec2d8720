"""The yardstick scores everybody alike on what they were trained on, through the real broker."""

from dataclasses import replace

import pytest
import torch

from sizewise.dataset.market_tensor import fold_confidence
from sizewise.dataset.splits import Slice
from sizewise.learning.direct import yardstick as module
from sizewise.learning.direct.learner import Objective, walk_lesson
from sizewise.learning.direct.lessons import divide, lesson_of
from sizewise.learning.direct.training import train_direct
from sizewise.learning.direct.yardstick import REFERENCE, Entrants, yardstick
from sizewise.learning.ppo.encoders import MarketView

from ....hand_direct import ARM, ATR, WORLD, InPlace, direct_settings, fold_of, telling_market


def test_direct_and_its_reference_are_scored_as_in_training(monkeypatch):
    monkeypatch.setattr(module, "Pool", InPlace)
    market = telling_market()
    fold = fold_of(market)
    trained = train_direct(market, fold, (1, 2), "direct", ARM, direct_settings(passes=6))
    members = {one.seed: one.policy for one in trained}
    rows = yardstick(market, [Entrants(fold, "direct", members, {})], 0.2, 10)
    assert [(row["arm"], row["seed"]) for row in rows] == [(REFERENCE, 0), ("direct", 1), ("direct", 2)]
    fit, _ = divide(fold, 0.2, 10)
    confidence, first = fold_confidence(market, fold), members[1]
    lesson = lesson_of(market, fit, ATR, WORLD, confidence, MarketView(market, [confidence], [first.scalers], 1))
    goal = Objective("log_growth", first.origin["risk_price"])
    untrained = {name: torch.zeros_like(value) for name, value in first.parameters.items()}
    for row, weights in zip(rows, (untrained, *(policy.parameters for policy in members.values())), strict=True):
        found = walk_lesson({n: value.unsqueeze(0) for n, value in weights.items()}, lesson, lesson.start(1), 1.0)
        expected = float(goal(found.returned, lesson.steps.days, lesson.steps.symbol)[0])
        # Whole lots stand between the two.
        assert row["priced_growth"] == pytest.approx(expected, abs=0.02 * max(1.0, abs(expected)))
    assert rows[0]["priced_growth"] < rows[1]["priced_growth"]


def test_folds_side_by_side_are_scored_as_alone(monkeypatch):
    """Paths of other folds end inside this one's, at closes at which nobody here decides."""
    monkeypatch.setattr(module, "Pool", InPlace)
    market = telling_market()
    market = replace(
        market, confidence={**market.confidence, "confidence_rolling_1": market.confidence["confidence_rolling_0"]}
    )
    first = fold_of(market)
    train = {symbol: Slice(31, 343) for symbol in first.train}
    folds = first, replace(first, number=1, train=train)
    entrants = []
    for fold in folds:
        trained = train_direct(market, fold, (1, 2), "direct", ARM, direct_settings(passes=6))
        entrants.append(Entrants(fold, "direct", {one.seed: one.policy for one in trained}, {}))
    alone = [row for one in entrants for row in yardstick(market, [one], 0.2, 10)]
    monkeypatch.setattr(module, "GROUPS", 1)
    together = yardstick(market, entrants, 0.2, 10)
    assert len(together) == len(alone) == 6
    for found, expected in zip(together, alone, strict=True):
        assert found == pytest.approx(expected, rel=1e-9)
    # The guard fires: closes of others taken for one's own score otherwise.
    monkeypatch.setattr(module, "_by_own_marks", lambda market, paths, found, decides: found)
    cut = yardstick(market, entrants, 0.2, 10)
    assert any(abs(a["sharpe"] - b["sharpe"]) > 1e-6 for a, b in zip(cut, alone, strict=True))
