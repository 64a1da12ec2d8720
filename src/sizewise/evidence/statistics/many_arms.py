"""Tests of all arms at once through arch: is any better than the reference (SPA), and which may be the best (MCS)?

Both bootstrap whole stretches of days of all arms together. A loss is the negative of a day's log growth.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sizewise.base.errors import LedgerError
from sizewise.evidence.statistics.means import DUST, never_varies
from sizewise.ledgers.metrics import BPS


@dataclass(frozen=True)
class SuperiorAbility:
    """SPA: the null is that no arm grows faster than the reference.

    p_value: Hansen's consistent one; p_lower and p_upper bound it. arms: one row an arm, best first, effect_bps (log
    growth a day minus the reference's). left_out: arms that are the reference's clones, and cannot differ from it.
    """

    p_value: float
    p_lower: float
    p_upper: float
    arms: pd.DataFrame
    left_out: tuple[str, ...]


def _complete(daily: pd.DataFrame) -> pd.DataFrame:
    """The days on which every arm has a finite value.

    Raises:
        LedgerError: there are fewer than two arms or ten such days, or a value is infinite.
    """
    days = daily.dropna()
    if daily.shape[1] < 2 or len(days) < 10:
        raise LedgerError(
            f"{daily.shape[1]} arms on {len(days)} common days: the field's tests need two arms and ten days"
        )
    if not np.isfinite(days.to_numpy()).all():
        raise LedgerError("the field has daily growth that is not finite: an equity fell to zero or below")
    return days


def spa(
    daily: pd.DataFrame, reference: str, *, block_days: int, draws: int, rng: np.random.Generator
) -> SuperiorAbility:
    """Hansen's test of superior predictive ability against `reference`.

    Args:
        daily: log growth of a day, index day and one column an arm, oldest first; days that an arm lacks are left out.
    Raises:
        LedgerError: the reference is no column, too few days or arms, or a value that is not finite.
    Source: Hansen (2005), J. Business & Economic Statistics 23, via arch.
    """
    if reference not in daily.columns:
        raise LedgerError(f"the field has no arm '{reference}': name one of {', '.join(map(str, daily.columns))}")
    days = _complete(daily)
    gains = days.drop(columns=reference).sub(days[reference], axis=0)
    clones = [str(name) for name in gains if _same(days[name].to_numpy(), days[reference].to_numpy())]
    arms = (
        (BPS * gains.mean())
        .rename("effect_bps")
        .rename_axis("arm")
        .sort_values(ascending=False, kind="stable")
        .to_frame()
    )
    rivals = days.drop(columns=[reference, *clones])
    # A constant gain has no deviation to be measured by, and arch divides by it.
    constant = [str(name) for name in rivals if never_varies(gains[name].to_numpy())]
    if constant:
        raise LedgerError(
            f"arm '{constant[0]}' differs from '{reference}' by the same on every day: no test can judge that"
        )
    if rivals.empty:
        return SuperiorAbility(1.0, 1.0, 1.0, arms, tuple(clones))
    # See mcs.
    from arch.bootstrap import SPA

    test = SPA(-days[reference].to_numpy(), -rivals.to_numpy(), block_size=block_days, reps=draws, seed=rng)
    test.compute()
    found = test.pvalues
    return SuperiorAbility(
        float(found["consistent"]), float(found["lower"]), float(found["upper"]), arms, tuple(clones)
    )


def mcs(daily: pd.DataFrame, *, size: float, block_days: int, draws: int, rng: np.random.Generator) -> pd.DataFrame:
    """The model confidence set: the arms that cannot be told from the best at level `size`, by the range statistic.

    Args:
        daily: as in spa.
    Returns:
        one row an arm, best growth first: growth_bps (log growth a day), p_value (the arm leaves the set at any greater
        size), in_set, same_as (the arm whose clone it is, else empty; a clone shares its p-value).
    Raises:
        LedgerError: too few days or arms, or a value that is not finite.
    Source: Hansen, Lunde and Nason (2011), Econometrica 79, via arch.
    """
    days = _complete(daily)
    original = {name: _first_same(days, name) for name in days}
    kept = [name for name in days if original[name] == name]
    p_values = dict.fromkeys(kept, 1.0)
    if len(kept) > 1:
        # Half a second of reading, for who asks for neither.
        from arch.bootstrap import MCS

        test = MCS(-days[kept].to_numpy(), size, reps=draws, block_size=block_days, seed=rng)
        test.compute()
        p_values = {kept[int(place)]: float(p) for place, p in test.pvalues["Pvalue"].items()}
    rows = {
        str(name): {
            "growth_bps": BPS * float(days[name].mean()),
            "p_value": p_values[original[name]],
            "in_set": p_values[original[name]] > size,
            "same_as": "" if original[name] == name else str(original[name]),
        }
        for name in days
    }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("arm")
    return table.sort_values("growth_bps", ascending=False, kind="stable")


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.abs(a - b).max() <= DUST)


def _first_same(days: pd.DataFrame, name: object) -> object:
    """The first column that equals `name`'s."""
    return next(other for other in days if _same(days[other].to_numpy(), days[name].to_numpy()))
