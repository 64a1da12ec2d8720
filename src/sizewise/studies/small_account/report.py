"""Notebook 12: the verdict of the small account, and the curve over sizes of account."""

from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from sizewise.params.stage import Stage
from sizewise.params.studies.small_account import SmallAccount
from sizewise.reports.figures import lead_title
from sizewise.reports.page.style import QUIET, WIDE, arm_colours, label_ends
from sizewise.studies.small_account.curve import spread_by_symbol
from sizewise.trading.broker.book import SMALL_ACCOUNT


def account_table(small: SmallAccount) -> pd.DataFrame:
    """The account, one row an item."""
    return pd.DataFrame({"declared": {name: str(value) for name, value in small.account.model_dump().items()}})


def account_size_figure(table: pd.DataFrame) -> Figure:
    """Growth against the size of the account, a panel a symbol, a line a rule."""
    symbols, arms = list(dict.fromkeys(table["symbol"])), list(dict.fromkeys(table["arm"]))
    figure, rows = plt.subplots(len(symbols), 1, figsize=(WIDE, 1.8 * len(symbols) + 0.8), sharex=True, squeeze=False)
    colours = arm_colours(arms)
    for axes, symbol in zip(rows[:, 0], symbols, strict=True):
        for arm in arms:
            part = table[(table["symbol"] == symbol) & (table["arm"] == arm)]
            axes.plot(part["initial_equity"], part["growth_bps_per_day"], "o-", ms=3, color=colours[arm], label=arm)
        axes.axhline(0.0, color=QUIET, lw=0.8)
        axes.axvline(SMALL_ACCOUNT, color=QUIET, lw=0.9, ls=":")
        axes.set(title=symbol, xscale="log")
        axes.xaxis.set_major_formatter("{x:,.0f}")
    for axes in rows[:, 0]:
        label_ends(axes)
    figure.supylabel("log growth (bps a day)", fontsize=9)
    rows[-1, 0].set_xlabel("equity at the start, quote currency (dotted: 25,000)")
    lead_title(figure, "Growth against the size of the account")
    return figure


def checks(table: pd.DataFrame, small: SmallAccount) -> dict[str, bool]:
    """The declared check of each symbol: whether the size of the account matters at all."""
    spread = spread_by_symbol(table)
    return {f"{symbol} is not flat": bool(spread[symbol] > small.least_spread_bps) for symbol in spread.index}


def curve_sentences(table: pd.DataFrame, small: SmallAccount) -> str:
    """What the venue's limits cost the smallest account and the largest, and whether the check holds."""
    ends = (table["initial_equity"].min(), table["initial_equity"].max())
    said = []
    for symbol, spread in spread_by_symbol(table).items():
        rows = table[table["symbol"] == symbol]
        parts = [f"{symbol}: between two sizes of account growth differs by up to {spread:.4f} bps a day"]
        parts += [_cost_of(rows[rows["initial_equity"] == end], end) for end in ends]
        said.append("; ".join(parts) + ".")
    failed = [name for name, held in checks(table, small).items() if not held]
    held = f"fails. Not so: {', '.join(failed)}" if failed else "holds: no curve is flat"
    return "\n\n".join([*said, f"The declared check {held}."])


def _cost_of(rows: pd.DataFrame, size: float) -> str:
    total = rows[["rounding_cost", "below_min", "day_trade_limit_cost", "day_trade"]].sum()
    return (
        f"at ${size:,.0f} lots and minimum orders cost ${total['rounding_cost']:,.2f} and refuse {int(total['below_min'])} "
        f"orders, the day-trade limit ${total['day_trade_limit_cost']:,.2f} and {int(total['day_trade'])} (all rules and "
        "test slices)"
    )


def leave(stage: Stage, record: dict[str, Any], table: pd.DataFrame) -> None:
    """metrics/small_account.json: the verdict, the checks, and the curve by symbol, rule and size of account."""
    curve: dict[str, Any] = {}
    for (symbol, arm), rows in table.groupby(["symbol", "arm"], sort=False):
        figures = rows.drop(columns=["symbol", "arm"]).set_index("initial_equity").round(6)
        curve.setdefault(str(symbol), {})[str(arm)] = {
            f"{size:g}": dict(row) for size, row in figures.to_dict("index").items()
        }
    small = stage.params.small_account
    stage.write_metrics({"verdict": record, "checks": checks(table, small), "curve": curve})
