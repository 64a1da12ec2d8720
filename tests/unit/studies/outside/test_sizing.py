"""Six sizers on drawn markets: measured on all bars, compared draw by draw, and told as they come out."""

import numpy as np
import pandas as pd
import pytest

from sizewise.params.studies.outside import Sizers
from sizewise.studies.outside import sizing
from sizewise.studies.outside.predictions import FAILED, HELD, OPEN
from sizewise.studies.outside.regimes import ISOTONIC, PLATT, PROBABILITIES, RAW
from sizewise.studies.outside.sizers import FITTED, FIXED, SIZERS

RULES = Sizers(replications=3, bars=1500, folds=3)


@pytest.fixture(scope="module")
def measures():
    return [sizing.replicate(RULES, number) for number in range(RULES.replications)]


def test_a_replication_measures_every_sizer_and_probability(measures):
    for one in measures:
        for what in ("sharpe", "drawdown"):
            assert list(one[what]) == [(sizer, name) for name in PROBABILITIES for sizer in SIZERS]
            assert np.isfinite(list(one[what].values())).all()
        assert list(one["calibration"]) == [("model", name) for name in PROBABILITIES]
        assert all(-1.0 <= fall <= 0.0 for fall in one["drawdown"].values())


def test_replications_are_their_own_and_come_again(measures):
    assert measures[0]["sharpe"] != measures[1]["sharpe"]
    assert sizing.replicate(RULES, 1) == measures[1]


def test_a_sharpe_ratio_and_a_drawdown_by_hand():
    earned = np.array([0.01, -0.02, 0.0, 0.03])
    assert sizing.sharpe(earned) == pytest.approx(earned.mean() / earned.std(ddof=1) * np.sqrt(252))
    assert sizing.sharpe(np.zeros(5)) == 0.0
    assert sizing.deepest(earned) == pytest.approx(-0.02)
    assert sizing.deepest(np.array([-0.1, 0.05])) == pytest.approx(-0.1)


def test_probabilities_that_are_what_wins_are_calibrated():
    probability = np.repeat([0.2, 0.8], 10)
    won = np.tile(np.arange(10) < 2, 2)
    won[10:] = ~won[10:]
    assert sizing.calibration_error(probability, won, bins=2) == pytest.approx(0.0)
    assert sizing.calibration_error(probability, np.ones(20, dtype=bool), bins=2) == pytest.approx(0.5)


def hand(gains: dict[str, float], spread: float) -> list[sizing.Measures]:
    """Measures whose isotonic Sharpe ratios are above the raw ones by these gains, give or take a spread."""
    made = []
    for shift in (-spread, spread, -spread, spread):
        raw = {(sizer, RAW): 1.0 + 0.1 * i for i, sizer in enumerate(SIZERS)}
        platt = {(sizer, PLATT): value for (sizer, _), value in raw.items()}
        isotonic = {(sizer, ISOTONIC): value + gains[sizer] + shift for (sizer, _), value in raw.items()}
        sharpe = raw | platt | isotonic
        calibration = {("model", name): error for name, error in zip(PROBABILITIES, (0.1, 0.1, 0.02), strict=True)}
        made.append({"sharpe": sharpe, "drawdown": dict.fromkeys(sharpe, -0.1), "calibration": calibration})
    return made


def outcomes(gains: dict[str, float], spread: float, params) -> list[str]:
    table = sizing.gain_table(hand(gains, spread), params.plan)
    return [one.outcome for one in sizing.predictions(table)]


AS_SAID = dict.fromkeys(FIXED, 0.3) | dict.fromkeys(FITTED, 0.0)


@pytest.mark.parametrize(
    ("gains", "spread", "expected"),
    [
        (AS_SAID, 0.01, [HELD] * 7),
        (AS_SAID, 1.00, [OPEN] * 3 + [HELD] * 3 + [OPEN]),
        ({sizer: -gain for sizer, gain in AS_SAID.items()}, 0.01, [FAILED] * 3 + [HELD] * 3 + [FAILED]),
        (dict.fromkeys(SIZERS, 0.3), 0.01, [HELD] * 3 + [FAILED] * 4),
    ],
    ids=["as said", "not to be seen", "the contrary", "all gain"],
)
def test_outcomes_follow_the_gains(gains, spread, expected, params):
    assert outcomes(gains, spread, params) == expected


def test_the_order_marks_what_cannot_be_told_apart(params):
    same = hand(AS_SAID, 0.01)
    for one in same:
        one["sharpe"]["all_or_nothing", RAW] = one["sharpe"]["model_confidence", RAW]
    raw, isotonic = sizing.order_sentence(same, params.plan).splitlines()
    assert raw.startswith("- raw: `sigmoid_optimal` > `empirical_cdf` > `linear_scaling` > `normal_cdf`")
    assert "`all_or_nothing` ~ `model_confidence`" in raw or "`model_confidence` ~ `all_or_nothing`" in raw
    assert isotonic.startswith("- isotonic: ")


def test_tables_and_the_sentence_of_calibration(params):
    made = hand(AS_SAID, 0.01)
    table = sizing.sharpe_table(made)
    assert table.index[0] == "sigmoid_optimal"
    assert table.loc["all_or_nothing", "kind"] == "fixed"
    assert table.loc["all_or_nothing", ISOTONIC] == pytest.approx(1.3)
    gains = sizing.gain_table(made, params.plan)
    assert isinstance(gains.index, pd.MultiIndex)
    assert gains.loc[(PLATT, "normal_cdf"), "mean"] == 0.0
    assert "10.0 percentage points" in sizing.calibration_sentence(made)
    assert "2.0 after isotonic" in sizing.calibration_sentence(made)
