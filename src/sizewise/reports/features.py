"""The features: what notebook 01 calls, its tables and its figures."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.dates as mdates
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from sizewise.dataset.confidence import calibration_table, confidence_column
from sizewise.dataset.features import CONFIDENCE, FEATURES, UNFITTED, all_features, own_columns, warmup_days
from sizewise.dataset.regimes import LABELS
from sizewise.dataset.signals import signal_trades
from sizewise.dataset.splits import Fold
from sizewise.dataset.store import Universe
from sizewise.params.dataset.observation import OwnFeatures
from sizewise.params.dataset.regimes import Regimes
from sizewise.params.dataset.signals import (
    Column,
    CustomSignal,
    Donchian,
    Family,
    MovingAverages,
    RandomEntries,
    Reversal,
)
from sizewise.params.dates import rule_of
from sizewise.params.stage import Stage
from sizewise.reports.page.style import COLOURS, WIDE, regime_handles, regime_shares, shade_regimes


def coverage(
    spans: Mapping[str, tuple[pd.Timestamp, pd.Timestamp]],
    fold_edges: Sequence[pd.Timestamp],
    n_bars: Mapping[str, int],
) -> Figure:
    """Which symbol has bars when, and where the folds test (shaded)."""
    figure, axes = plt.subplots(figsize=(WIDE, 0.27 * len(spans) + 1.4))
    for i, (start, end) in enumerate(zip(fold_edges[:-1], fold_edges[1:], strict=True)):
        axes.axvspan(start, end, color="#E9EEF5" if i % 2 else "#D5E1EF", lw=0)
        axes.text(start + (end - start) / 2, -0.95, str(i), ha="center", va="bottom", fontsize=9, color="#445566")
    for i, (symbol, (first, last)) in enumerate(spans.items()):
        axes.plot([first, last], [i, i], lw=7, color=COLOURS[0], solid_capstyle="butt")
        axes.annotate(
            f"{n_bars[symbol]:,} bars", (last, i), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8
        )
    axes.set_yticks(range(len(spans)), list(spans))
    axes.set_ylim(len(spans) - 0.4, -1.0)
    axes.set_xlim(right=max(max(last for _, last in spans.values()), fold_edges[-1]) + pd.Timedelta(days=420))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("date (UTC); shaded and numbered: test windows of the folds")
    # Above the numbers of the folds.
    axes.set_title("Bars and folds", pad=16)
    return figure


def prices_with_regimes(daily: Mapping[str, pd.DataFrame]) -> Figure:
    """Log-scaled daily close of each symbol over the regimes its bars were in; see style.shade_regimes.

    Args:
        daily: by symbol, columns `close` and a number of bars by label, one row a day.
    """
    rows = (len(daily) + 1) // 2
    figure, grid = plt.subplots(rows, 2, figsize=(WIDE, 1.4 * rows + 0.6), squeeze=False)
    for axes in grid.ravel()[len(daily) :]:
        axes.set_visible(False)
    for axes, (symbol, frame) in zip(grid.ravel(), daily.items(), strict=False):
        shade_regimes(axes, regime_shares(frame.drop(columns="close")))
        axes.plot(frame.index, frame["close"], color="#222222", lw=0.9)
        axes.set_yscale("log")
        axes.grid(visible=False)
        axes.set_title(symbol)
        low, high = float(frame["close"].min()), float(frame["close"].max())
        axes.set_yticks(_round_ticks(low, high))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 10 else f"{value:.2f}")
        axes.yaxis.set_minor_locator(mpl.ticker.NullLocator())
        # At least three ticks, so that a span of a few months has more than its ends.
        locator = mdates.AutoDateLocator(minticks=3, maxticks=7)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))
    figure.legend(
        handles=regime_handles(),
        loc="outside lower center",
        ncols=3,
        fontsize=8,
        title="background: share of the bars of each month, of short series each day",
        title_fontsize=8,
    )
    figure.supylabel("close, quote currency (log scale)", fontsize=9)
    return figure


def _round_ticks(low: float, high: float) -> list[float]:
    """About four round prices, evenly spread on a log scale."""
    ticks = np.geomspace(low, high, 4)
    digits = [2 - int(np.floor(np.log10(tick))) - 1 for tick in ticks]
    return [
        round(float(tick), digit + (1 if high / low < 2.0 else 0)) for tick, digit in zip(ticks, digits, strict=True)
    ]


def correlation(matrix: pd.DataFrame, groups: Sequence[str], over: str = "train bars") -> Figure:
    """Correlation of all features, ordered by group; lines part the groups. `over`: what it was taken over."""
    figure, axes = plt.subplots(figsize=(WIDE, 6.9))
    image = axes.imshow(matrix.to_numpy(), vmin=-1.0, vmax=1.0)
    axes.set_xticks(range(len(matrix)), list(matrix.columns), rotation=90, fontsize=5.5)
    axes.set_yticks(range(len(matrix)), list(matrix.columns), fontsize=5.5)
    for edge in np.flatnonzero(np.array(groups[1:]) != np.array(groups[:-1])):
        axes.axhline(edge + 0.5, color="#666666", lw=0.6)
        axes.axvline(edge + 0.5, color="#666666", lw=0.6)
    axes.grid(visible=False)
    figure.colorbar(image, ax=axes, shrink=0.6, pad=0.02, label=f"Pearson correlation over {over}")
    axes.set_title(f"How much {len(matrix)} features say the same thing")
    return figure


def calibration(table: pd.DataFrame) -> Figure:
    """Claimed against realised win rate with 95% intervals. `table`: claimed, realised, low, high, n."""
    figure, axes = plt.subplots(figsize=(5.2, 4.6))
    if table.empty:
        axes.set_title("Confidence, out of sample: no trade to hold it against")
        return figure
    low = min(table["low"].min(), table["claimed"].min()) - 0.02
    high = max(table["high"].max(), table["claimed"].max()) + 0.02
    axes.plot([low, high], [low, high], color="#999999", lw=1, ls="--", label="perfectly calibrated")
    spread = [table["realised"] - table["low"], table["high"] - table["realised"]]
    axes.errorbar(
        table["claimed"], table["realised"], yerr=spread, fmt="o", color=COLOURS[0], capsize=3, label="test trades"
    )
    for _, row in table.iterrows():
        axes.annotate(
            f"n={row['n']:.0f}",
            (row["claimed"], row["high"]),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color="#555555",
        )
    axes.set_xlim(low, high)
    axes.set_ylim(low, high + 0.03)
    axes.set_xlabel("claimed probability of a gross profit")
    axes.set_ylabel("realised share of gross profits")
    axes.legend(loc="upper left")
    axes.set_title("Confidence, out of sample")
    return figure


Tables = Mapping[str, pd.DataFrame]
BPS = 1e4
CALIBRATION_BINS = 5
# Two features that agree this much say nearly the same thing.
REDUNDANT = 0.9
# Train bars of all symbols that a correlation is taken over; of more every so many.
MOST_BARS = 500_000


def series_table(universe: Universe) -> pd.DataFrame:
    """One row a series: venue, span, bars, holes in its calendar, bars without volume, costs."""
    rows = {}
    for symbol, frame in universe.bars.items():
        instrument = universe.instruments[symbol]
        times = pd.DatetimeIndex(frame.index)
        rows[symbol] = {
            "venue": instrument.venue,
            "first": f"{times[0]:%Y-%m-%d}",
            "last": f"{times[-1]:%Y-%m-%d}",
            "bars": len(frame),
            "minutes": instrument.bar_minutes,
            "missing bars": len(instrument.expected_times(times)) - len(times),
            "without volume": int((frame["volume"] == 0).sum()),
            "taker fee (bps)": float(instrument.taker_bps(times)[-1]),
            "half-spread (bps)": instrument.half_spread_bps,
            "borrow (bps a day)": instrument.borrow_bps_per_day,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("symbol")


def coverage_figure(universe: Universe, folds: Sequence[Fold]) -> Figure:
    """See features.coverage."""
    spans = {symbol: (frame.index[0], frame.index[-1]) for symbol, frame in universe.bars.items()}
    edges = [*(fold.test_start for fold in folds), folds[-1].test_end]
    return coverage(spans, edges, {symbol: len(frame) for symbol, frame in universe.bars.items()})


def folds_table(folds: Sequence[Fold]) -> pd.DataFrame:
    """Train and test bars of every fold and symbol; a dash where the symbol takes no part."""
    symbols = list(dict.fromkeys(symbol for fold in folds for symbol in fold.train))
    rows = []
    for fold in folds:
        row: dict[str, Any] = {"fold": fold.number, "test from": f"{fold.test_start:%Y-%m-%d}"}
        for symbol in symbols:
            learn, test = fold.train.get(symbol), fold.test.get(symbol)
            row[symbol] = f"{len(learn) if learn else '-'} / {len(test) if test else '-'}"
        rows.append(row)
    return pd.DataFrame(rows).set_index("fold")


def definitions(rules: Regimes, own: OwnFeatures | None = None) -> pd.DataFrame:
    """All features, those of one's own among them: group, definition, warm-up in days."""
    rows = [(f.name, f.group, f.definition, warmup_days(f, rules)) for f in all_features(own)]
    return pd.DataFrame(rows, columns=["feature", "group", "definition", "warm-up (days)"]).set_index("feature")


def _every(fold: Fold) -> int:
    """Of how many train bars one is looked at."""
    return -(-sum(len(part) for part in fold.train.values()) // MOST_BARS)


def _train_values(tables: Tables, fold: Fold) -> pd.DataFrame:
    """Every feature, the confidence as this fold's model has it, standardised by symbol."""
    confidence = confidence_column(fold)
    names = [*UNFITTED, confidence, *own_columns(tables[next(iter(fold.train))])]
    rows = {symbol: slice(part.start, part.stop, _every(fold)) for symbol, part in fold.train.items()}
    parts = [tables[symbol][names].iloc[some].rename(columns={confidence: CONFIDENCE}) for symbol, some in rows.items()]
    scaled = [(part - part.mean()) / part.std().replace(0.0, 1.0) for part in parts]
    values = pd.concat(scaled)
    return values.loc[:, values.std() > 0]


def correlation_figure(tables: Tables, fold: Fold) -> Figure:
    """See features.correlation; features standardised per symbol over the fold's train bars."""
    matrix = _train_values(tables, fold).corr()
    groups = {feature.name: feature.group for feature in FEATURES}
    over = "train bars" if _every(fold) == 1 else f"one of {_every(fold)} train bars"
    return correlation(matrix, [groups.get(name, "own") for name in matrix.columns], over)


def redundancy_table(tables: Tables, fold: Fold) -> pd.DataFrame:
    """The most correlated pairs of features over the fold's train bars, at most 12."""
    matrix = _train_values(tables, fold).corr().round(6)
    values, names = matrix.to_numpy(), list(matrix.columns)
    pairs = [(names[i], names[j], values[i, j]) for i, j in zip(*np.triu_indices(len(names), k=1), strict=True)]
    pairs = sorted((pair for pair in pairs if abs(pair[2]) >= REDUNDANT), key=lambda pair: -abs(pair[2]))[:12]
    return pd.DataFrame(pairs, columns=["feature", "with", "correlation"])


def regime_table(tables: Tables) -> pd.DataFrame:
    """Share of bars (%) under each label, by the trailing and by the fixed rule, and the median ATR%."""
    rows = {}
    for symbol, table in tables.items():
        row: dict[tuple[str, str], float] = {("ATR (%)", "median"): 100.0 * float(table["atr_frac"].median())}
        for rule, column in (("trailing rule", "regime"), ("fixed 2% rule", "regime_fixed")):
            share = table[column].value_counts(normalize=True)
            row |= {(rule, label.replace("_", " ")): 100.0 * float(share.get(label, 0.0)) for label in LABELS}
        rows[symbol] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def regime_figure(universe: Universe, tables: Tables) -> Figure:
    """See features.prices_with_regimes."""
    daily = {}
    for symbol, frame in universe.bars.items():
        day = pd.DatetimeIndex(frame.index).floor("D")
        bars = pd.crosstab(day, tables[symbol]["regime"].to_numpy())
        daily[symbol] = bars.assign(close=frame["close"].groupby(day).last()).rename_axis(index=None, columns=None)
    return prices_with_regimes(daily)


def signal_table(universe: Universe, tables: Tables) -> pd.DataFrame:
    """The signal's trades at unit size, gross: how many, how long, how often and how much they win."""
    rows = {}
    for symbol, frame in universe.bars.items():
        trades = signal_trades(frame, tables[symbol])
        gross = trades["gross_return"]
        session = universe.instruments[symbol].session(pd.DatetimeIndex(frame.index))
        held_days = session[trades["exit_row"]] - session[trades["entry_row"]]
        rows[symbol] = {
            "trades": len(trades),
            "bars in the market (%)": 100.0 * float((tables[symbol]["direction"] != 0).mean()),
            "mean holding (days)": float(held_days.mean()),
            "gross wins (%)": 100.0 * float((gross > 0).mean()),
            "mean gross (bps)": BPS * float(gross.mean()),
            "standard error (bps)": BPS * float(gross.std()) / np.sqrt(len(gross)),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("symbol")


def _test_trades(universe: Universe, tables: Tables, folds: Sequence[Fold]) -> tuple[np.ndarray, np.ndarray]:
    claimed, won = [], []
    for fold in folds:
        for symbol, part in fold.test.items():
            trades = signal_trades(universe.bars[symbol], tables[symbol])
            inside = (trades["entry_row"] >= part.start) & (trades["exit_row"] + 1 < part.stop)
            rows = trades.loc[inside, "entry_row"].to_numpy()
            claimed.append(tables[symbol][confidence_column(fold)].to_numpy(dtype=np.float64)[rows])
            won.append((trades.loc[inside, "gross_return"] > 0).to_numpy())
    return np.concatenate(claimed), np.concatenate(won)


def _briers(claimed: np.ndarray, won: np.ndarray) -> tuple[float, float]:
    """Brier scores of the claims, and of always claiming the realised win rate."""
    return float(np.mean((claimed - won) ** 2)), float(np.mean((won.mean() - won) ** 2))


def confidence_table(universe: Universe, tables: Tables, folds: Sequence[Fold]) -> pd.DataFrame:
    """Claimed against realised win rates of the test trades; see confidence.calibration_table. Of few trades fewer bins."""
    claimed, won = _test_trades(universe, tables, folds)
    return calibration_table(claimed, won, bins=min(CALIBRATION_BINS, len(won))) if len(won) else pd.DataFrame()


def confidence_sentence(universe: Universe, tables: Tables, folds: Sequence[Fold]) -> str:
    """What the calibration amounts to, from the Brier scores of the model and of the plain test win rate."""
    claimed, won = _test_trades(universe, tables, folds)
    if not len(won):
        return "No trade of the signal lies wholly within a test slice: nothing can be said of its confidence."
    score, plain = _briers(claimed, won)
    better = "better than" if score < plain else "no better than"
    return (
        f"Brier score {score:.4f} on {len(won)} test trades, {better} always claiming the realised win rate ({plain:.4f}). "
        f"Claims range from {claimed.min():.2f} to {claimed.max():.2f}."
    )


def metrics(universe: Universe, tables: Tables, folds: Sequence[Fold]) -> dict[str, float | None]:
    """What metrics/features.json holds; scores are null where there is no test trade."""
    claimed, won = _test_trades(universe, tables, folds)
    score, plain = _briers(claimed, won) if len(won) else (None, None)
    return {
        "n_features": len(FEATURES) + len(own_columns(tables[next(iter(universe.bars))])),
        "n_symbols": len(universe.bars),
        "n_bars": sum(len(frame) for frame in universe.bars.values()),
        "n_folds": len(folds),
        "n_test_trades": len(won),
        "confidence_brier": None if score is None else round(score, 6),
        "win_rate_brier": None if plain is None else round(plain, 6),
    }


def folds_sentence(stage: Stage, universe: Universe) -> str:
    """Why folds are cut by the calendar, and who found their dates."""
    said = "Folds are windows of one calendar, common to all symbols."
    if len(universe.bars) > 1:
        said += (
            " Cutting each symbol by itself would train policies on one symbol's future and test them on another's past"
        )
        of_assets: dict[str, list[str]] = {}
        for symbol in universe.bars:
            if symbol in universe.assets:
                of_assets.setdefault(universe.assets[symbol], []).append(symbol)
        one = [f"{' and '.join(symbols)} are one asset" for symbols in of_assets.values() if len(symbols) > 1]
        said += f", and some of the series move together: {', '.join(one)}." if one else "."
    rule = rule_of(stage.workspace.base)
    if rule is not None:
        numbers = ", ".join(f"{name} {value}" for name, value in rule.items() if name != "kind")
        said += (
            f" Their dates were found in the bars by `splits: auto` ({numbers}), once, before anything was fitted; they "
            "stand in the table and in `artifacts/splits.json`."
        )
    dates = stage.params.splits
    if dates.sealed_end is not None:
        said += f" Bars from {dates.end} to {dates.sealed_end} are sealed: nothing here has read them."
    return f"{said} The table gives train / test bars; a symbol joins a fold if it has enough of both."


def signal_sentence(family: Family, max_hold_days: int) -> str:
    """What decides the direction, and what its table can say."""
    match family:
        case Donchian():
            rule = f"a channel breakout of {family.entry_days} and {family.exit_days} days; it has no fitted part"
            if (family.entry_days, family.exit_days) == (20, 10):
                rule = f"the Turtles' first system, {rule}"
        case MovingAverages():
            rule = f"a cross of the means of {family.fast_days} and {family.slow_days} days; it has no fitted part"
        case Reversal():
            rule = f"a reversal of moves of {family.move_days} days; it has no fitted part"
        case RandomEntries():
            rule = "random entries, held as long as the Turtles' trades: the null"
        case Column():
            rule = "the column `signal` of the bars, made elsewhere: nothing here can show what it knew"
        case CustomSignal():
            rule = f"a class of one's own, `{family.class_}`; `sizewise check --causality` says whether it looks ahead"
    return (
        f"The direction is that of {rule}. A trade is left after {max_hold_days} days at the latest. The table shows its "
        "trades at unit size and **before costs**: this project asks how to size a signal, not whether this one is good."
    )


def limitations(universe: Universe) -> str:
    """What these series cannot show."""
    terms = universe.instruments
    indices = [symbol for symbol in universe.bars if terms[symbol].asset_class == "equity_index"]
    ticks = [symbol for symbol in universe.bars if terms[symbol].asset_class == "fx"]
    said = ["The half-spread, borrow and fee levels in `instruments.yaml` are stances, not measurements."]
    if indices:
        one = f"{indices[0]} is an index: its" if len(indices) == 1 else f"{' and '.join(indices)} are indices: their"
        said.append(f"{one} results measure notional exposure, not a tradable account.")
    if ticks:
        said.append(f"{' and '.join(ticks)} volume counts ticks.")
    said.append(
        "The confidence model is deliberately small; where its claimed probabilities barely vary, sizing by confidence "
        "cannot do much."
    )
    return " ".join(said)
