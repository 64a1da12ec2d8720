"""What the sizing tables have learned, as tidy tables: size by regime and confidence, learning by trade count."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from sizewise.regimes import LABELS
from sizewise.table_actions import sizes
from sizewise.table_states import SHAPE, Confidence
from sizewise.tabular import CURVE_TRADES, PHASE_ENDS, PHASES, Learned, Table


def learned_sizes(tables: Sequence[Table], equity: float) -> pd.DataFrame:
    """Mean size that tables choose by regime and confidence, each state weighed by its visits.

    Args:
        equity: that orders are a share of, quote currency.
    Returns:
        columns regime, confidence, visits (updates, all tables), size_pct (of the position limit; NaN without a visit).
    """
    visits, weighed = np.zeros(SHAPE), np.zeros(SHAPE)
    for table in tables:
        share = sizes(table.rules, equity, table.limit_frac)[table.greedy()] / table.limit_frac
        own = table.visits.sum(axis=1)
        visits += own.reshape(SHAPE)
        weighed += (own * share).reshape(SHAPE)
    count, total = visits.sum(axis=(2, 3)), weighed.sum(axis=(2, 3))
    mean = np.divide(100.0 * total, count, out=np.full(count.shape, np.nan), where=count > 0)
    return pd.DataFrame(
        {
            "regime": np.repeat(LABELS, len(Confidence)),
            "confidence": [bins.name.lower() for _ in LABELS for bins in Confidence],
            "visits": count.ravel().astype(np.int64),
            "size_pct": mean.ravel(),
        }
    )


def learning_by_trade(history: pd.DataFrame) -> pd.DataFrame:
    """Learning curves on one axis of trade counts: means over folds, weighed by trades; folds that have ended drop out.

    Args:
        history: of tabular.Learned, with a column `arm` beside.
    Returns:
        columns arm, seed, trade, phase, growth_bps, gain_bps (over evenly drawn sizes), size_pct.
    """
    last = int(history["trade"].max()) + CURVE_TRADES
    marks = np.array([*PHASE_ENDS[:-1], *range(PHASE_ENDS[-1], last, CURVE_TRADES)])
    placed = history.assign(
        trade=marks[np.searchsorted(marks, history["trade"])],
        gain_bps=history["growth_bps"] - history["even_growth_bps"],
    )
    names = ["growth_bps", "gain_bps", "size_pct"]
    sums = placed.assign(**{name: placed[name] * placed["trades"] for name in names})
    sums = sums.groupby(["arm", "seed", "trade"], sort=True)[[*names, "trades"]].sum()
    curve = sums[names].div(sums["trades"], axis=0).reset_index()
    curve.insert(3, "phase", [PHASES[place] for place in np.searchsorted(PHASE_ENDS, curve["trade"])])
    return curve


def learning_phases(history: pd.DataFrame) -> pd.DataFrame:
    """The four phases of the reference design by arm, over all folds and seeds.

    Args:
        history: as in `learning_by_trade`.
    Returns:
        columns phase, arm, trades, growth_bps, gain_bps (over evenly drawn sizes; both a trade), size_pct (of the limit).
    """
    gain = history["growth_bps"] - history["even_growth_bps"]
    rows = history.assign(gain_bps=gain, phase=pd.Categorical(history["phase"], categories=list(PHASES), ordered=True))
    names = ["growth_bps", "gain_bps", "size_pct"]
    sums = rows.assign(**{name: rows[name] * rows["trades"] for name in names})
    sums = sums.groupby(["phase", "arm"], observed=True)[[*names, "trades"]].sum()
    table = sums[names].div(sums["trades"], axis=0)
    table.insert(0, "trades", sums["trades"])
    return table.reset_index()


def arm_histories(learned: Mapping[str, Learned]) -> pd.DataFrame:
    """The histories of several arms in one table, with a column `arm`; empty without one."""
    parts = [one.history.assign(arm=name) for name, one in learned.items()]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def phase_sentence(history: pd.DataFrame) -> str:
    """Whether what the tables chose beat evenly drawn sizes in the first phase and in the last, an arm a line.

    The interval is over folds and seeds, t with one value each: repeats of training, not of the market.
    """
    lines = []
    gain = history.assign(gain=(history["growth_bps"] - history["even_growth_bps"]) * history["trades"])
    for arm, rows in gain.groupby("arm", sort=False):
        said = []
        met = [phase for phase in PHASES if (rows["phase"] == phase).any()]
        for phase in dict.fromkeys((met[0], met[-1])):
            part = rows[rows["phase"] == phase].groupby(["fold", "seed"])[["gain", "trades"]].sum()
            values = (part["gain"] / part["trades"]).to_numpy()
            half = float(stats.t.ppf(0.975, len(values) - 1)) * values.std(ddof=1) / np.sqrt(len(values))
            said.append(f"{values.mean():+.2f} (±{half:.2f}) in the trades {phase}")
        lines.append(f"`{arm}`, bps of equity a trade over evenly drawn sizes: " + ", ".join(said) + ".")
    return "\n\n".join(lines)
