"""A process of two regimes, a rule that follows it, and a model that says how likely each of the rule's trades is to win.

Returns are autoregressive of order three, and in the second regime every coefficient has the other sign; the rule is long
for a bar after a bar that gained. The model is a logistic regression on the last three returns and the regime of five bars
ago: in one regime its slopes have the wrong sign, so that what it says is no probability until it is calibrated.

Source: Meyer, Barziy and Joubert (2023), J. Financial Data Science 5(2), 23-40; coefficients, lags and the division into
folds as in the experiment that its authors publish (github.com/hudson-and-thames/meta-labeling).
"""

from dataclasses import dataclass

import numpy as np
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from sizewise.base.arithmetic import fitted
from sizewise.params.studies.outside import Sizers
from sizewise.sizing.calibrated import calibrated, fit_platt

COEFFICIENTS = np.array([0.25, -0.20, 0.35])
# The returns that a regime begins after, the last first, and the drift of the second regime, a bar.
BEFORE = (0.032, 0.020, -0.042)
SECOND_DRIFT = -1e-4
LAGS = 3
# The regime is known so many bars late, as a rolling statistic would know it.
REGIME_LAG = 5
RAW, PLATT, ISOTONIC = "raw", "platt", "isotonic"
PROBABILITIES = (RAW, PLATT, ISOTONIC)


@dataclass(frozen=True)
class Trades:
    """The rule's trades, oldest first. inputs: float64 [n, 4]. gain: [n], of a size of 1. bar: [n], of the entry."""

    inputs: np.ndarray
    gain: np.ndarray
    bar: np.ndarray

    def part(self, start: int, stop: int) -> "Trades":
        return Trades(self.inputs[start:stop], self.gain[start:stop], self.bar[start:stop])


def draw(rules: Sizers, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Returns, float64 (n,), and whether a bar is of the second regime, bool (n,); n fills whole regimes."""
    count = rules.bars // rules.regime_bars
    second = generator.random(count) < rules.second_regime_prob
    noise = generator.normal(0.0, rules.noise, (count, rules.regime_bars))
    sign = np.where(second, -1.0, 1.0)
    path = np.empty((count, LAGS + rules.regime_bars))
    path[:, :LAGS] = BEFORE[::-1]
    for t in range(rules.regime_bars):
        followed = path[:, t : t + LAGS][:, ::-1] @ COEFFICIENTS
        path[:, LAGS + t] = SECOND_DRIFT * second + sign * followed + noise[:, t]
    return path[:, LAGS:].ravel(), np.repeat(second, rules.regime_bars)


def trades_of(returns: np.ndarray, second: np.ndarray) -> Trades:
    """One trade after each bar that gained, of which all inputs are known and the next bar has come."""
    bars = np.arange(REGIME_LAG, len(returns) - 1)
    bars = bars[returns[bars] > 0.0]
    inputs = np.column_stack([*(returns[bars - lag] for lag in range(LAGS)), second[bars - REGIME_LAG]])
    return Trades(inputs, returns[bars + 1], bars)


def probabilities(train: Trades, test: Trades, folds: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Of each of PROBABILITIES: those of train's trades and those of test's.

    A model is fitted on all folds of train but one and calibrated on that one; what is said is the mean over folds, raw as
    calibrated, so that both come of the same models.
    """
    centre, scale = train.inputs[:, :LAGS].mean(0), train.inputs[:, :LAGS].std(0)
    seen = [np.column_stack([(part.inputs[:, :LAGS] - centre) / scale, part.inputs[:, LAGS]]) for part in (train, test)]
    won = train.gain >= 0.0
    said: dict[str, list[list[np.ndarray]]] = {name: [] for name in PROBABILITIES}
    for held in np.array_split(np.arange(len(won)), folds):
        others = np.setdiff1d(np.arange(len(won)), held)
        model = LogisticRegression(C=np.inf, tol=1e-8).fit(seen[0][others], won[others])
        slopes = np.array([fitted(float(value)) for value in (*model.coef_[0], *model.intercept_)])
        raw = [1.0 / (1.0 + np.exp(-(part @ slopes[:-1] + slopes[-1]))) for part in seen]
        slope, intercept = fit_platt(raw[0][held], won[held])
        steps = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(raw[0][held], won[held])
        said[RAW].append(raw)
        said[PLATT].append([calibrated(part, slope, intercept) for part in raw])
        said[ISOTONIC].append([steps.predict(part) for part in raw])
    return {
        name: (np.mean([of[0] for of in each], axis=0), np.mean([of[1] for of in each], axis=0))
        for name, each in said.items()
    }
