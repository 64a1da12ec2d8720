"""The process of two regimes by its recursion, the rule's trades, and probabilities that calibration brings to what wins."""

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold

from sizewise.params.studies.outside import Sizers
from sizewise.studies.outside.regimes import (
    BEFORE,
    COEFFICIENTS,
    ISOTONIC,
    PLATT,
    RAW,
    REGIME_LAG,
    SECOND_DRIFT,
    draw,
    probabilities,
    trades_of,
)

RULES = Sizers(replications=2, bars=3000)


def drawn(rules: Sizers = RULES, seed: int = 0):
    return draw(rules, np.random.default_rng(seed))


def test_returns_follow_the_recursion_from_each_regimes_start():
    quiet = RULES.model_copy(update={"noise": 1e-12})
    returns, second = drawn(quiet)
    assert 0 < second.sum() < len(second)
    for start in range(0, 300, quiet.regime_bars):
        r1, r2, r3 = BEFORE
        for t in range(start, start + quiet.regime_bars):
            sign, drift = (-1.0, SECOND_DRIFT) if second[t] else (1.0, 0.0)
            expected = drift + sign * (COEFFICIENTS @ [r1, r2, r3])
            assert returns[t] == pytest.approx(expected, abs=1e-9)
            r1, r2, r3 = expected, r1, r2


def test_regimes_last_whole_stretches_at_their_chance():
    _, second = drawn(RULES.model_copy(update={"bars": 30_000}))
    stretches = second.reshape(-1, RULES.regime_bars)
    assert (stretches == stretches[:, :1]).all()
    assert second.mean() == pytest.approx(RULES.second_regime_prob, abs=0.05)


def test_a_trade_follows_a_gain_and_knows_nothing_later():
    returns, second = drawn()
    trades = trades_of(returns, second)
    assert (returns[trades.bar] > 0.0).all()
    np.testing.assert_array_equal(trades.gain, returns[trades.bar + 1])
    np.testing.assert_array_equal(trades.inputs[:, 2], returns[trades.bar - 2])
    np.testing.assert_array_equal(trades.inputs[:, 3], second[trades.bar - REGIME_LAG])
    poisoned = returns.copy()
    poisoned[1501:] = 9.0
    again = trades_of(poisoned, second)
    early = trades.bar <= 1500
    np.testing.assert_array_equal(again.inputs[: early.sum()], trades.inputs[early])


def parts():
    trades = trades_of(*drawn())
    cut = len(trades.gain) // 2
    return trades.part(0, cut), trades.part(cut, len(trades.gain))


def test_isotonic_probabilities_are_those_of_scikit_learn():
    train, test = parts()
    found = probabilities(train, test, 5)
    centre, scale = train.inputs[:, :3].mean(0), train.inputs[:, :3].std(0)
    one, other = (np.column_stack([(part.inputs[:, :3] - centre) / scale, part.inputs[:, 3]]) for part in (train, test))
    model = CalibratedClassifierCV(LogisticRegression(C=np.inf, tol=1e-8), method="isotonic", cv=KFold(5))
    model.fit(one, train.gain >= 0.0)
    expected = model.predict_proba(other)[:, 1]
    # A step of an isotonic fit may lie on the other side of a probability that differs in its last digits.
    assert np.mean(np.abs(found[ISOTONIC][1] - expected) > 1e-3) < 0.01


def test_what_is_raw_and_calibrated_comes_of_the_same_models():
    train, test = parts()
    found = probabilities(train, test, 5)
    assert list(found) == [RAW, PLATT, ISOTONIC]
    for known, said in found.values():
        assert (len(known), len(said)) == (len(train.gain), len(test.gain))
        assert ((said >= 0.0) & (said <= 1.0)).all()
    assert np.corrcoef(found[RAW][1], found[PLATT][1])[0, 1] > 0.99


def test_test_is_no_part_of_what_is_fitted():
    train, test = parts()
    other = test.part(0, 10)
    for name, (known, said) in probabilities(train, test, 3).items():
        again_known, again = probabilities(train, other, 3)[name]
        np.testing.assert_array_equal(again_known, known)
        np.testing.assert_allclose(again, said[:10], atol=1e-12)


def test_a_model_that_is_right_has_nothing_to_calibrate():
    """Of one regime, where the logistic regression has the right form, isotonic steps stay near what it said."""
    alone = RULES.model_copy(update={"second_regime_prob": 0.0, "bars": 20_000})
    trades = trades_of(*drawn(alone))
    cut = len(trades.gain) // 2
    found = probabilities(trades.part(0, cut), trades.part(cut, len(trades.gain)), 5)
    assert np.abs(found[ISOTONIC][1] - found[RAW][1]).mean() < 0.03
