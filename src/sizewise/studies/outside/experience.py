"""Bars of a planted market until most of the optimal growth is earned: gradients through the account, PPO, least squares.

The learners' curves are those of the known answers' study, which trains them; the regressions are fitted here.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sizewise.base.errors import DataMissingError
from sizewise.params.stage import Stage
from sizewise.studies.known_answers.experience import bars_to, bars_to_stay
from sizewise.studies.known_answers.study import CURVES, DIRECT, PPO
from sizewise.studies.outside import least_squares
from sizewise.studies.outside.predictions import FAILED, HELD, OPEN, Prediction

SOURCE = "prototype"
ARMS = (least_squares.ARM, DIRECT, PPO)
# Of the optimal growth: how many bars does it take to be there?
SHARE = 0.90


def read_curves(stage: Stage, bars: Sequence[int]) -> pd.DataFrame:
    """Curves of all ARMS on the markets that all of them trade: columns market, arm, seed, bars, share.

    Args:
        bars: of the regressions.
    Raises:
        DataMissingError: the known_answers stage has not run.
    """
    path = stage.workspace.plots / CURVES
    if not path.is_file():
        raise DataMissingError(f"plots/{CURVES} is missing: run `dvc repro known_answers`")
    learned = pd.read_csv(path)
    learned = learned[learned["market"].isin(least_squares.MARKETS) & learned["arm"].isin(ARMS)]
    return pd.concat([least_squares.curves(stage.params.laboratory, bars), learned], ignore_index=True)


def bars_by_seed(curves: pd.DataFrame) -> pd.DataFrame:
    """Index (market, arm, seed); bars to SHARE at first, and to stay there; NaN where a curve never does."""
    rows = {}
    for key, part in curves.groupby(["market", "arm", "seed"], sort=False):
        points = list(zip(part["bars"], part["share"], strict=True))
        rows[key] = {"first": bars_to(points, SHARE), "for good": bars_to_stay(points, SHARE)}
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index = pd.MultiIndex.from_tuples(table.index, names=["market", "arm", "seed"])
    return table


def bars_table(by_seed: pd.DataFrame) -> pd.DataFrame:
    """Index (market, arm); median over seeds of bars at first and for good, the most bars of a seed at first, and the seeds.

    A seed that never came there counts as infinitely many bars.
    """
    known = by_seed.fillna(np.inf)
    groups = known.groupby(level=["market", "arm"], sort=False)
    table = pd.DataFrame(
        {
            "first (median)": groups["first"].median(),
            "first (slowest seed)": groups["first"].max(),
            "for good (median)": groups["for good"].median(),
            "seeds": groups.size(),
        }
    )
    order = pd.MultiIndex.from_product([least_squares.MARKETS, ARMS], names=["market", "arm"])
    return table.reindex(order).dropna()


def predictions(by_seed: pd.DataFrame) -> list[Prediction]:
    """On every market a gradient needs fewer bars than PPO, and least squares fewer than both."""
    found = []
    first = by_seed["first"].fillna(np.inf).unstack("arm")
    markets = first.index.get_level_values("market")
    for fewer, more in ((DIRECT, PPO), (least_squares.ARM, DIRECT)):
        for market in by_seed.index.unique("market"):
            pair = [first.loc[markets == market, arm] for arm in (fewer, more)]
            won, lost = int((pair[0] < pair[1]).sum()), int((pair[0] > pair[1]).sum())
            outcome = HELD if won == len(pair[0]) else FAILED if lost == len(pair[0]) else OPEN
            said = f"fewer with {won} of {len(pair[0])} seeds, medians {_bars(pair[0])} and {_bars(pair[1])}"
            claim = f"`{fewer}` needs fewer bars than `{more}` in `{market}`"
            found.append(Prediction(SOURCE, claim, outcome, said))
    return found


def _bars(of_seeds: pd.Series) -> str:
    median = float(of_seeds.median())
    return f"{median:,.0f} bars" if np.isfinite(median) else "not reached"
