"""What stands beside the verdict and never decides it: placebos, the trade-level test with its warning, early looks.

Bars are read here, not days: a size is decided before a bar, and R is measured from the equity at a bar.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sizewise.base.seeding import numpy_generator
from sizewise.evidence.ab_plan import AbPlan, toss
from sizewise.evidence.comparison import ComparedRun, follows_signal
from sizewise.evidence.inference import Comparison
from sizewise.evidence.statistics.e_values import Evidence, gather_evidence
from sizewise.evidence.statistics.means import WelchTest, budget_r, interquartile_mean, welch
from sizewise.evidence.statistics.placebo import entered_sizes, rotation_placebo
from sizewise.evidence.statistics.power import years_needed
from sizewise.ledgers.files import read_equity, read_trades
from sizewise.ledgers.metrics import BPS, days_per_year
from sizewise.ledgers.orders import COLUMNS
from sizewise.params.evidence.plan import Plan

# Every trade's R is measured against this share of equity at entry, whatever was risked: the R that sees size.
BUDGET_FRAC = 0.005
TOSSES = 500


@dataclass(frozen=True)
class Beside:
    """The bar ledgers and closed trades of candidate and reference."""

    plan: Plan
    bars: dict[str, pd.DataFrame]
    trades: dict[str, pd.DataFrame]
    one_signal: bool

    def placebos(self) -> pd.DataFrame:
        """Circular shifts: does the order in which sizes came earn anything? Of the sizes that trades are entered with.

        Three questions, each rotated over the reference's trades of one symbol in one fold, all symbols of a fold by one
        share: the log size ratio (over what the reference's own sizes earned), and the candidate's and the reference's sizes
        (over what one unit earned).

        Returns:
            one row a question: observed_bps (of the ratio: more than the reference), placebo_bps (mean of the rotations),
            both a trade; p_value (one-sided), n_trades, left_out (trades at whose entry a rule left the arms on different
            sides).
        """
        if not self.one_signal:
            return pd.DataFrame(columns=["observed_bps", "placebo_bps", "p_value", "n_trades", "left_out"])
        plan = self.plan
        table = entered_sizes(self.bars[plan.reference], self.bars[plan.candidate])
        unit, size, ratio = (table[name].to_numpy() for name in ("unit_result", "reference_size", "size_ratio"))
        window, fold = (table[name].to_numpy() for name in ("window", "fold"))
        questions = {
            f"size ratio {plan.candidate} / {plan.reference}": (unit * size, ratio, 0.0),
            f"size of {plan.candidate}": (unit, ratio * size, unit.mean()),
            f"size of {plan.reference}": (unit, size, unit.mean()),
        }
        rows = {}
        for name, (results, sizes, one_unit) in questions.items():
            with np.errstate(divide="ignore"):
                logs = np.log(sizes)
            rng = numpy_generator(plan.bootstrap_seed, "placebo", name)
            found = rotation_placebo(results, logs, window, together=fold, draws=plan.bootstrap_draws, rng=rng)
            rows[name] = {
                "observed_bps": BPS * (found.observed + one_unit),
                "placebo_bps": BPS * float(found.rotated.mean() + one_unit),
                "p_value": found.p_value,
                "n_trades": len(table),
                "left_out": table.attrs["left_out"],
            }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("rotated")

    def trade_level(self) -> WelchTest:
        """Welch's test on all trades, on R against a common budget; see means.welch for its warning.

        Of an arm with several seeds the first is taken: seeds repeat the training, and pooling them would count one market
        several times.
        """
        plan = self.plan
        r = [self._with_r(name)["r"].to_numpy() for name in (plan.candidate, plan.reference)]
        return welch(*r, alpha=plan.alpha)

    def ab_plan(self) -> AbPlan:
        """The A/B of the original plan, TOSSES times; see ab_plan.toss."""
        plan = self.plan
        names = (plan.candidate, plan.reference)
        rng = numpy_generator(plan.bootstrap_seed, "ab_plan")
        trades = [self._with_r(name) for name in names]
        equity = float(self.bars[plan.reference]["equity"].iloc[0])
        return toss(*trades, names=names, tosses=TOSSES, alpha=plan.alpha, equity=equity, rng=rng)

    def _with_r(self, name: str) -> pd.DataFrame:
        bars, trades = self.bars[name], self.trades[name]
        first = bars["seed"].min()
        mine = [frame[frame["seed"] == first].reset_index(drop=True) for frame in (trades, bars)]
        return mine[0].assign(r=budget_r(*mine, budget_frac=BUDGET_FRAC))


def open_beside(study: ComparedRun) -> Beside:
    """Read candidate and reference from the ledgers.

    Raises:
        DataMissingError: the walk_forward stage has not run.
    """
    plan, folder = study.plan, study.ledger_folder
    names = (plan.candidate, plan.reference)
    trades = read_trades(folder)
    return Beside(
        plan,
        {name: read_equity(folder, columns=COLUMNS, arms=[name]) for name in names},
        {name: trades[trades["arm"] == name].reset_index(drop=True) for name in names},
        all(follows_signal(study.arms[name]) for name in names),
    )


def looks(result: Comparison, plan: Plan) -> Evidence:
    """The e-value of the daily difference after every block of `plan.bootstrap_block_days` days."""
    return gather_evidence(result.daily, block_days=plan.bootstrap_block_days)


def seeds_and_folds(table: pd.DataFrame) -> pd.DataFrame:
    """Spread of the mean daily difference over folds and seeds: a description, no test.

    Args:
        table: Study.by_fold_and_seed: folds in rows, seeds in columns, bps.
    """
    views: dict[str, np.ndarray] = {
        "seeds, over all folds": table.mean(axis=0).to_numpy(),
        "folds, over all seeds": table.mean(axis=1).to_numpy(),
        "folds and seeds": table.to_numpy().ravel(),
    }
    measures: dict[str, Callable[[np.ndarray], float]] = {
        "n": len,
        "lowest": lambda values: float(values.min()),
        "interquartile mean": interquartile_mean,
        "highest": lambda values: float(values.max()),
        "above 0": lambda values: int((values > 0.0).sum()),
    }
    rows = {name: {what: of(values) for what, of in measures.items()} for name, values in views.items()}
    return pd.DataFrame.from_dict(rows, orient="index")


def power_table(result: Comparison, plan: Plan) -> pd.DataFrame:
    """Power of the joint rule against true effects, and the years a normal test would need at this noise.

    Returns:
        index effect_bps (multiples of the detectable effect): power, years_needed.
    """
    primary = result.primary
    sd = float(result.daily.std())
    rows = {}
    for multiple in (0.25, 0.5, 1.0, 1.5, 2.0):
        effect = multiple * primary.mde
        known = primary.mde > 0.0 and sd > 0.0
        ratio = effect / sd * np.sqrt(days_per_year(result.daily)) if known else 0.0
        rows[BPS * effect] = {
            "power": primary.power_at(effect),
            "years_needed": years_needed(ratio, alpha=plan.alpha),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("effect_bps")


def placebo_sentence(table: pd.DataFrame, plan: Plan) -> str:
    """What the rotations say, in words."""
    if table.empty:
        return "No placebo: an arm chooses its own direction, so there is no one signal whose sizes could be rotated."
    found = [f"{name} (p = {row['p_value']:.4f})" for name, row in table.iterrows() if row["p_value"] < plan.alpha]
    if not found:
        return "No order of sizes earned more than its rotations: " + _all(table) + "."
    return "More than their rotations earned: " + "; ".join(found) + ". All: " + _all(table) + "."


def _all(table: pd.DataFrame) -> str:
    return ", ".join(f"{name} p = {row['p_value']:.4f}" for name, row in table.iterrows())


def trade_sentence(test: WelchTest) -> str:
    """Welch's result, and why it decides nothing."""
    if np.isnan(test.p_value):
        return test.warning
    return (
        f"Mean R against a common budget of {100 * BUDGET_FRAC:g}% of equity differs by {test.difference:+.3f} "
        f"({test.low:+.3f} to {test.high:+.3f}, p = {test.p_value:.3f}; {test.n_a} and {test.n_b} trades of the "
        f"first seeds). {test.warning}"
    )


def looks_sentence(evidence: Evidence, plan: Plan) -> str:
    """What somebody who looked after every block of days may say."""
    n = len(evidence.looks)
    if not n:
        return f"Fewer than {plan.bootstrap_block_days} days: nobody has looked yet."
    told = "rejects" if evidence.p_value < plan.alpha else "does not reject"
    return (
        f"After {n} looks, one every {plan.bootstrap_block_days} days, the e-value is {evidence.e_value:.2f} and the "
        f"p-value that holds however often one looks is {evidence.p_value:.3f}: it {told} at the "
        f"{100 * plan.alpha:g}% level."
    )
