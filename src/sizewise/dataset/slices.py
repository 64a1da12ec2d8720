"""Slices of the market: labels of a symbol's days, each known before its day begins.

Four cuts stand beside the regimes of the plan: a *Markov* model of two volatilities, filtered with train parameters; the
*trend* of the trailing return; the *decline* from a trailing high; and the *fixed rule* of the reference design. A day's
label is what could be said at the close of the last bar before it.
"""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from statsmodels.tools.sm_exceptions import ModelWarning
from statsmodels.tsa.regime_switching.markov_regression import MarkovRegression

from sizewise.base.paths import require, write_atomically
from sizewise.base.pool import Pool
from sizewise.dataset import declines
from sizewise.dataset.days import Days
from sizewise.dataset.declines import UNLABELLED as UNLABELLED
from sizewise.dataset.declines import day_closes, every_day, known_before
from sizewise.dataset.regimes import LABELS, NEUTRAL, label_regimes
from sizewise.dataset.splits import Fold, Slice
from sizewise.market.instruments import Instrument
from sizewise.params.dataset.regimes import Regimes
from sizewise.params.evidence.slices import Slices

CUTS: Mapping[str, tuple[str, ...]] = {
    "markov": ("calm", "turbulent"),
    "trend": ("bull", "bear", "sideways"),
    "decline": ("declining", "not_declining"),
    "fixed_rule": tuple(label for label in LABELS if label != NEUTRAL),
}
FILE = "slices.parquet"
# Returns are fitted in percent: the optimiser's steps are absolute.
PERCENT = 100.0
EM_STEPS, OPTIMISER_STEPS = 10, 100
SUNDAY = 6


def trend_labels(bars: pd.DataFrame, rules: Slices) -> pd.Series:
    """`bull`, `bear` or `sideways` by the return over `trend_days` calendar days, a label a day that has bars."""
    closes = every_day(day_closes(bars))
    past = closes.shift(rules.trend_days)
    choices = [past.isna(), closes >= (1.0 + rules.sideways_frac) * past, closes <= (1.0 - rules.sideways_frac) * past]
    names = np.select(choices, [UNLABELLED, "bull", "bear"], "sideways")
    return known_before(pd.Series(names, closes.index), bars)


def decline_labels(bars: pd.DataFrame, rules: Slices) -> pd.Series:
    """`declining` where the close is `declining_frac` or more below the highest daily close of `declining_days` days."""
    return declines.labels(bars, days=rules.declining_days, frac=rules.declining_frac)


def fixed_rule_labels(bars: pd.DataFrame, rules: Regimes, instrument: Instrument | None = None) -> pd.Series:
    """The fixed rule's regime at the last bar before the UTC day; see regimes.label_regimes."""
    days = pd.DatetimeIndex(bars.index).floor("D")
    labels = label_regimes(Days.of(bars, instrument), rules)["regime_fixed"].set_axis(bars.index)
    last = labels.astype(str).groupby(days).last()
    return known_before(last.replace(NEUTRAL, UNLABELLED), bars)


@dataclass(frozen=True)
class MarkovFit:
    """A switching-variance model of daily returns on one train slice, or why there is none.

    Attributes:
        n_days: train returns. problem: empty if the model holds.
        parameters: P(calm stays), P(turbulent ends), mean, variance when calm, when turbulent (% a day, % squared).
    """

    n_days: int
    problem: str
    parameters: tuple[float, ...] = ()


def fit_markov(bars: pd.DataFrame, learn: Slice, rules: Slices) -> MarkovFit:
    """Fit r_t = mean + sigma(state_t) e_t on the daily returns of a train slice, from start values fixed by their variance.

    Args:
        learn: rows of `bars`; nothing else of them is read.
    Source: Hamilton (1989), Econometrica 57; the fit is statsmodels' EM steps, then BFGS.
    """
    # The slice may end within a day.
    returns = _returns(bars.iloc[learn.start : learn.stop]).to_numpy()[:-1]
    n_days = len(returns)
    if n_days < rules.markov_min_days:
        return MarkovFit(n_days, f"{n_days} train days, {rules.markov_min_days} are needed")
    variance = float(returns.var())
    if variance < 1e-12:
        return MarkovFit(n_days, "the price does not move")
    start = np.array([0.95, 0.10, returns.mean(), 0.4 * variance, 2.0 * variance])
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # A fit that does not converge is told by its flag.
        warnings.simplefilter("ignore", ModelWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            fitted = _model(returns).fit(
                start, em_iter=EM_STEPS, maxiter=OPTIMISER_STEPS, disp=False, cov_type="none", search_reps=0
            )
        except (np.linalg.LinAlgError, ValueError) as error:
            return MarkovFit(n_days, f"the fit fails: {str(error).splitlines()[0]}")
    stays, ends, mean, first, second = (float(value) for value in fitted.params)
    if not fitted.mle_retvals["converged"] or not np.isfinite(fitted.params).all():
        return MarkovFit(n_days, f"the fit does not converge in {OPTIMISER_STEPS} steps")
    if first > second:
        stays, ends, first, second = 1.0 - ends, 1.0 - stays, second, first
    return MarkovFit(n_days, "", (stays, ends, mean, first, second))


def markov_labels(bars: pd.DataFrame, fit: MarkovFit, start: int) -> pd.Series:
    """`turbulent` where the filtered probability of the larger variance passes one half, else `calm`.

    The filter runs forward from row `start`; nothing is smoothed, so a label never learns of a later day.

    Args:
        start: first row of the train slice; days before it, and its first two, are unlabelled.
    """
    returns = _returns(bars.iloc[start:])
    if fit.problem or len(returns) < 2:
        return known_before(pd.Series(UNLABELLED, day_closes(bars).index), bars)
    filtered = _model(returns.to_numpy()).filter(np.array(fit.parameters)).filtered_marginal_probabilities
    return known_before(pd.Series(np.where(filtered[:, 1] > 0.5, "turbulent", "calm"), returns.index), bars)


def _returns(bars: pd.DataFrame) -> pd.Series:
    """Log returns in % from close to close; the stub of a Sunday that opens a week is part of the next day."""
    closes = day_closes(bars)
    days = pd.DatetimeIndex(closes.index)
    opens_week = np.diff(days.as_unit("ns").asi8, prepend=0) > 8.64e13
    kept = closes[~((days.day_of_week == SUNDAY) & opens_week)]
    return (PERCENT * np.log(kept).diff()).iloc[1:]


def _model(returns: np.ndarray) -> MarkovRegression:
    return MarkovRegression(returns, k_regimes=2, trend="c", switching_trend=False, switching_variance=True)


def label_days(
    bars: Mapping[str, pd.DataFrame],
    folds: Iterable[Fold],
    rules: Slices,
    regimes: Regimes,
    instruments: Mapping[str, Instrument],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every label of every test day, and the Markov models behind the first cut.

    Returns:
        labels: one row a symbol and test day: symbol, day (UTC midnight), fold, and a column of CUTS each; a day's Markov
        label is by the model of its own fold's train slice.
        fits: one row a symbol and fold: symbol, fold, n_days, problem, calm_vol_pct, turbulent_vol_pct (a day), calm_days,
        turbulent_days (expected length of a stay).
    """
    given = _Given(bars, tuple(folds), rules, regimes, instruments)
    if len(bars) == 1:
        found = [_label_symbol(given, symbol) for symbol in bars]
    else:
        with Pool(given, most=len(bars)) as pool:
            found = list(pool.map(_label_symbol, bars))
    labels = pd.concat([part for parts, _ in found for part in parts], ignore_index=True)
    fits = pd.DataFrame([row for _, rows in found for row in rows])
    return labels[["symbol", "day", "fold", *CUTS]], fits


class _Given(NamedTuple):
    """What label_days was given, for processes side by side: a symbol's models take seconds."""

    bars: Mapping[str, pd.DataFrame]
    folds: tuple[Fold, ...]
    rules: Slices
    regimes: Regimes
    instruments: Mapping[str, Instrument]


def _label_symbol(given: _Given, symbol: str) -> tuple[list[pd.DataFrame], list[dict[str, object]]]:
    frame, rules = given.bars[symbol], given.rules
    by_rule = pd.DataFrame(
        {
            "trend": trend_labels(frame, rules),
            "decline": decline_labels(frame, rules),
            "fixed_rule": fixed_rule_labels(frame, given.regimes, given.instruments[symbol]),
        }
    )
    parts, fits = [], []
    for fold in given.folds:
        if symbol not in fold.test:
            continue
        learn, test = fold.train[symbol], fold.test[symbol]
        fit = fit_markov(frame, learn, rules)
        fits.append({"symbol": symbol, "fold": fold.number, **_fit_row(fit)})
        by_model = markov_labels(frame.iloc[: test.stop], fit, learn.start)
        days = pd.DatetimeIndex(frame.index[test.start : test.stop]).floor("D").unique()
        labelled = by_rule.loc[days].assign(markov=by_model.loc[days], symbol=symbol, fold=fold.number)
        parts.append(labelled.rename_axis("day").reset_index())
    return parts, fits


def _fit_row(fit: MarkovFit) -> dict[str, object]:
    row: dict[str, object] = {"n_days": fit.n_days, "problem": fit.problem}
    stays, ends, _, calm, turbulent = fit.parameters or (np.nan,) * 5
    with np.errstate(divide="ignore"):
        lengths = 1.0 / np.array([1.0 - stays, ends])
    vols = np.sqrt([calm, turbulent])
    return row | {
        "calm_vol_pct": vols[0],
        "turbulent_vol_pct": vols[1],
        "calm_days": lengths[0],
        "turbulent_days": lengths[1],
    }


def fit_table(fits: pd.DataFrame) -> pd.DataFrame:
    """The Markov models by symbol: folds, models that hold, and of those the median volatilities and lengths of stay."""
    figures = ["calm_vol_pct", "turbulent_vol_pct", "calm_days", "turbulent_days"]
    by_symbol = fits.groupby("symbol", sort=False)
    held = (fits["problem"] == "").groupby(fits["symbol"], sort=False).sum()
    return pd.concat([by_symbol.size().rename("folds"), held.rename("models"), by_symbol[figures].median()], axis=1)


def fit_sentence(fits: pd.DataFrame) -> str:
    """Which Markov models hold, and which test slices stay unlabelled and why."""
    failed = fits[fits["problem"] != ""]
    text = f"Of {len(fits)} Markov models {len(fits) - len(failed)} hold."
    if failed.empty:
        return text
    named = "; ".join(f"{row.symbol} in fold {row.fold} ({row.problem})" for row in failed.itertuples())
    return f"{text} Unlabelled by this cut: {named}."


def write_labels(folder: Path, labels: pd.DataFrame) -> None:
    """Write slices.parquet, whole."""
    write_atomically(folder / FILE, lambda path: labels.to_parquet(path, index=False))


def read_labels(folder: Path) -> pd.DataFrame:
    """The labels of a walk-forward run; see label_days.

    Raises:
        DataMissingError: the walk_forward stage has not run.
    """
    return pd.read_parquet(require(folder / FILE, "run `dvc repro walk_forward`", home="artifacts/ledger"))
