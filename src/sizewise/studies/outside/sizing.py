"""Six sizers of one rule's trades on many drawn markets: what each earns, and what calibration adds to it.

Source: Meyer, Barziy and Joubert (2023), Meta-Labeling: Calibration and Position Sizing, J. Financial Data Science 5(2),
23-40: calibration improves the sizers of a fixed shape significantly, and gives those that learn their shape from train no
significant advantage.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sizewise.base.pool import Pool
from sizewise.base.seeding import numpy_generator
from sizewise.params.evidence.plan import Plan
from sizewise.params.studies.outside import Sizers
from sizewise.studies.outside.predictions import (
    FAILED,
    HELD,
    OPEN,
    Prediction,
    more_than,
    never_more,
    p_words,
    paired,
    row_of,
)
from sizewise.studies.outside.regimes import ISOTONIC, PLATT, RAW, draw, probabilities, trades_of
from sizewise.studies.outside.sizers import FITTED, FIXED, SIZERS, Known, size_by

SOURCE = "Meyer et al. (2023)"
BARS_PER_YEAR = 252
BINS = 10

Measures = dict[str, dict[tuple[str, str], float]]


def calibration_error(probability: np.ndarray, won: np.ndarray, bins: int = BINS) -> float:
    """Mean distance of probabilities from the share that won, over bins of equally many: 0 is calibrated."""
    order = np.argsort(probability, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return float(sum(len(part) * abs(probability[part].mean() - won[part].mean()) for part in parts) / len(order))


def sharpe(earned: np.ndarray) -> float:
    """Yearly, of bar returns; 0 of an account that never trades."""
    spread = float(earned.std(ddof=1))
    return float(earned.mean()) / spread * float(np.sqrt(BARS_PER_YEAR)) if spread > 0.0 else 0.0


def deepest(earned: np.ndarray) -> float:
    """The largest loss from a peak of the compounded account, a share <= 0."""
    path = np.cumsum(np.log1p(earned))
    return float(np.expm1((path - np.maximum(np.maximum.accumulate(path), 0.0)).min()))


def replicate(rules: Sizers, number: int) -> Measures:
    """One drawn market, learned from and traded. number: of the draw.

    Returns:
        `sharpe` and `drawdown` by (sizer, probability), over all bars from test's first trade on; `calibration` by ("model",
        probability), see calibration_error.
    """
    returns, second = draw(rules, numpy_generator("outside", "sizers", number))
    trades = trades_of(returns, second)
    cut = int(rules.train_frac * len(trades.gain))
    train, test = trades.part(0, cut), trades.part(cut, len(trades.gain))
    found: Measures = {"sharpe": {}, "drawdown": {}, "calibration": {}}
    bars = np.zeros(len(returns) - 1 - test.bar[0])
    for name, (known, said) in probabilities(train, test, rules.folds).items():
        found["calibration"]["model", name] = calibration_error(said, test.gain >= 0.0)
        for sizer in SIZERS:
            earned = bars.copy()
            earned[test.bar - test.bar[0]] = size_by(sizer, said, Known(known, train.gain)) * test.gain
            found["sharpe"][sizer, name] = sharpe(earned)
            found["drawdown"][sizer, name] = deepest(earned)
    return found


def run(rules: Sizers) -> list[Measures]:
    """Every replication, one process a core."""
    with Pool(rules, most=rules.replications) as pool:
        return list(pool.map(replicate, range(rules.replications)))


def draws(measures: Sequence[Measures], what: str) -> pd.DataFrame:
    """One measure of every replication: a row each, columns (sizer, probability)."""
    frame = pd.DataFrame([list(one[what].values()) for one in measures])
    frame.columns = pd.MultiIndex.from_tuples(list(measures[0][what]), names=["sizer", "probability"])
    return frame


def sharpe_table(measures: Sequence[Measures]) -> pd.DataFrame:
    """One row a sizer, the highest Sharpe ratio of raw probabilities first: kind (fixed or fitted), mean yearly Sharpe ratio
    by probability, and the mean drawdown (%) of raw and isotonic ones."""
    means = draws(measures, "sharpe").mean().unstack("probability")
    falls = 100.0 * draws(measures, "drawdown").mean().unstack("probability")
    table = pd.DataFrame({"kind": ["fixed" if name in FIXED else "fitted" for name in means.index]}, index=means.index)
    table = table.join(means[[RAW, PLATT, ISOTONIC]])
    table = table.assign(drawdown_raw_pct=falls[RAW], drawdown_isotonic_pct=falls[ISOTONIC])
    return table.sort_values(RAW, ascending=False, kind="stable")


def gain_table(measures: Sequence[Measures], plan: Plan) -> pd.DataFrame:
    """What calibration adds to the yearly Sharpe ratio, replication by replication.

    Returns:
        index (calibration, sizer); kind, and predictions.paired's columns.
    """
    found = draws(measures, "sharpe")
    rows = {}
    for name in (ISOTONIC, PLATT):
        for sizer in SIZERS:
            gain = (found[sizer, name] - found[sizer, RAW]).to_numpy()
            kind = "fixed" if sizer in FIXED else "fitted"
            rows[name, sizer] = {"kind": kind, **paired(gain, plan.alpha, plan.power)}
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index = pd.MultiIndex.from_tuples(table.index, names=["calibration", "sizer"])
    return table


def order_sentence(measures: Sequence[Measures], plan: Plan) -> str:
    """The sizers from the highest to the lowest mean Sharpe ratio, raw and isotonic; `>` where the two beside it differ
    significantly, `~` where they do not."""
    found = draws(measures, "sharpe")
    lines = []
    for name in (RAW, ISOTONIC):
        means = pd.Series({sizer: float(found[sizer, name].mean()) for sizer in SIZERS})
        means = means.sort_values(ascending=False, kind="stable")
        words = [f"`{means.index[0]}`"]
        for better, worse in zip(means.index, means.index[1:], strict=False):
            test = paired((found[better, name] - found[worse, name]).to_numpy(), plan.alpha, plan.power)
            words.append(f"{'>' if test['low'] > 0.0 else '~'} `{worse}`")
        lines.append(f"- {name}: {' '.join(words)}")
    return "\n".join(lines)


def calibration_sentence(measures: Sequence[Measures]) -> str:
    """How far probabilities are from what wins."""
    errors = 100.0 * draws(measures, "calibration").mean()["model"]
    return (
        f"On average the model's probabilities are {errors[RAW]:.1f} percentage points away from the share that wins, "
        f"{errors[PLATT]:.1f} after Platt's calibration and {errors[ISOTONIC]:.1f} after isotonic calibration."
    )


def predictions(gains: pd.DataFrame) -> list[Prediction]:
    """Each fixed sizer gains by isotonic calibration, no fitted one does significantly, and each of those gains less."""
    found = []
    for sizer in SIZERS:
        row = row_of(gains, (ISOTONIC, sizer))
        said = (
            f"{row['mean']:+.3f} of yearly Sharpe ratio (95% {row['low']:+.3f} to {row['high']:+.3f}, "
            f"{p_words(row['p_value'])}, seen from {row['mde']:.3f} on)"
        )
        claim = f"Calibration raises the Sharpe ratio of `{sizer}`, which is fixed"
        outcome = more_than(row["low"], row["high"])
        if sizer in FITTED:
            claim = f"Calibration gives `{sizer}`, which is fitted on train, no significant advantage"
            outcome = never_more(row["low"])
        found.append(Prediction(SOURCE, claim, outcome, said))
    return [*found, _apart(gains)]


def _apart(gains: pd.DataFrame) -> Prediction:
    fixed, fitted = (gains.loc[[(ISOTONIC, sizer) for sizer in kind]] for kind in (FIXED, FITTED))
    least, most = fixed["mean"].min(), fitted["mean"].max()
    outcome = HELD if fixed["low"].min() > fitted["high"].max() else FAILED if least <= most else OPEN
    claim = "Every fixed sizer gains more by calibration than every fitted one"
    return Prediction(SOURCE, claim, outcome, f"at least {least:+.3f} against at most {most:+.3f}")
