"""What matching risk does to every arm: the table and the sentences of notebook 03, and metrics/risk.json."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from sizewise.ledgers.files import read_risk, read_unmatched
from sizewise.ledgers.plan import PRIMARY
from sizewise.params.evidence.plan import Plan
from sizewise.params.stage import Stage
from sizewise.walkforward.risk import factors_of, risk_summary
from sizewise.walkforward.walk import Factors


def risk_table(stage: Stage, daily: pd.DataFrame) -> pd.DataFrame:
    """What matching does to every arm; see walkforward.risk.risk_summary. Empty where `plan.risk` is null.

    Args:
        daily: log growth a day of each arm's portfolio; see walk_forward.daily_by_arm.
    """
    if stage.params.plan.risk is None:
        return pd.DataFrame()
    folder = stage.workspace.ledger
    factors = read_risk(folder)
    primary = factors[factors["scheme"] == PRIMARY]
    return risk_summary(primary, read_unmatched(folder), {str(arm): daily[arm] for arm in daily})


def write_risk(stage: Stage, table: pd.DataFrame) -> None:
    """metrics/risk.json: `risk_table` by arm, and the factors themselves by arm, scheme, fold, symbol and seed."""
    arms: dict[str, Any] = {str(arm): dict(row) for arm, row in table.round(6).to_dict("index").items()}
    if len(table):
        for keys, part in read_risk(stage.workspace.ledger).groupby(["arm", "scheme", "fold", "symbol"], sort=False):
            arm, scheme, fold, symbol = (str(key) for key in keys)
            fold_of = arms[arm].setdefault("factors", {}).setdefault(scheme, {}).setdefault(fold, {})
            fold_of[symbol] = dict(zip(map(str, part["seed"]), part["factor"].tolist(), strict=True))
    stage.write_metrics({"arms": {arm: _without_nan(values) for arm, values in arms.items()}}, "risk")


def _without_nan(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        str(name): None if isinstance(value, float) and np.isnan(value) else value for name, value in values.items()
    }


def risk_sentences(table: pd.DataFrame, plan: Plan) -> str:
    """At which risk arms are compared, and which of them it does not hold for."""
    if plan.risk is None:
        return "Risk is not matched: every arm keeps what it takes by itself (`plan.risk` is null)."
    said = [
        f"Every arm's sizes are multiplied by one factor a symbol, fold and seed, at which it has "
        f"{100.0 * plan.risk.annual_vol_frac:.3g}% of annual volatility on the train slice."
    ]
    silent = [str(arm) for arm, row in table.iterrows() if row["never_trades"] > 0]
    if silent:
        said.append(f"Without a trade on some train slice, so that the factor is 1 there: {', '.join(silent)}.")
    missed = [f"{arm} ({int(row['not_reached'])})" for arm, row in table.iterrows() if row["not_reached"] > 0]
    if missed:
        said.append(
            f"Not within {plan.risk.tolerance_frac:.1%} of it, because of the cap (slices): {', '.join(missed)}."
        )
    return " ".join(said)


def reference_factors(stage: Stage) -> Factors:
    """What the reference's sizes are multiplied by on the primary scheme; nothing where risk is not matched."""
    plan = stage.params.plan
    if plan.risk is None:
        return {}
    found = read_risk(stage.workspace.ledger)
    return factors_of(found[(found["arm"] == plan.reference) & (found["scheme"] == PRIMARY)])
