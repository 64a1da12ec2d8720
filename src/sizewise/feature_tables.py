"""Tables and figures of the features report, from bars, feature tables and folds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sizewise import config, feature_figures
from sizewise.confidence import calibration_table, confidence_column
from sizewise.feature_store import Universe
from sizewise.features import CONFIDENCE, FEATURES, warmup_bars
from sizewise.regimes import LABELS
from sizewise.signals import signal_trades
from sizewise.splits import Fold

Tables = Mapping[str, pd.DataFrame]
BPS = 1e4
# Two features that agree this much say nearly the same thing.
REDUNDANT = 0.9


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
    """See feature_figures.coverage."""
    spans = {symbol: (frame.index[0], frame.index[-1]) for symbol, frame in universe.bars.items()}
    edges = [*(fold.test_start for fold in folds), folds[-1].test_end]
    return feature_figures.coverage(spans, edges, {symbol: len(frame) for symbol, frame in universe.bars.items()})


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


def definitions(rules: config.Regimes) -> pd.DataFrame:
    """All features: group, definition, warm-up in bars."""
    rows = [(f.name, f.group, f.definition, warmup_bars(f, rules)) for f in FEATURES]
    return pd.DataFrame(rows, columns=["feature", "group", "definition", "warm-up"]).set_index("feature")


def _train_values(tables: Tables, fold: Fold) -> pd.DataFrame:
    names = [feature.name for feature in FEATURES if feature.name != CONFIDENCE]
    parts = [tables[symbol].iloc[part.start : part.stop][names] for symbol, part in fold.train.items()]
    scaled = [(part - part.mean()) / part.std().replace(0.0, 1.0) for part in parts]
    values = pd.concat(scaled)
    return values.loc[:, values.std() > 0]


def correlation_figure(tables: Tables, fold: Fold) -> Figure:
    """See feature_figures.correlation; features standardised per symbol over the fold's train bars."""
    matrix = _train_values(tables, fold).corr()
    groups = {feature.name: feature.group for feature in FEATURES}
    return feature_figures.correlation(matrix, [groups[name] for name in matrix.columns])


def redundancy_table(tables: Tables, fold: Fold) -> pd.DataFrame:
    """The most correlated pairs of features over the fold's train bars, at most 12."""
    matrix = _train_values(tables, fold).corr().round(6)
    values, names = matrix.to_numpy(), list(matrix.columns)
    pairs = [(names[i], names[j], values[i, j]) for i, j in zip(*np.triu_indices(len(names), k=1), strict=True)]
    pairs = sorted((pair for pair in pairs if abs(pair[2]) >= REDUNDANT), key=lambda pair: -abs(pair[2]))[:12]
    return pd.DataFrame(pairs, columns=["feature", "with", "correlation"]).round(2)


def regime_table(tables: Tables) -> pd.DataFrame:
    """Share of bars (%) under each label, by the trailing and by the fixed rule, and the median ATR%."""
    rows = {}
    for symbol, table in tables.items():
        row: dict[tuple[str, str], float] = {("ATR (%)", "median"): 100.0 * float(table["atr_frac"].median())}
        for rule, column in (("trailing rule", "regime"), ("fixed 2% rule", "regime_fixed")):
            share = table[column].value_counts(normalize=True)
            row |= {(rule, label.replace("_", " ")): 100.0 * float(share.get(label, 0.0)) for label in LABELS}
        rows[symbol] = row
    return pd.DataFrame.from_dict(rows, orient="index").round(1)


def regime_figure(universe: Universe, tables: Tables) -> Figure:
    """See feature_figures.prices_with_regimes."""
    daily = {}
    for symbol, frame in universe.bars.items():
        day = pd.DatetimeIndex(frame.index).floor("D")
        regime = tables[symbol]["regime"].groupby(day).agg(lambda labels: labels.astype(str).mode().iloc[0])
        daily[symbol] = pd.DataFrame({"close": frame["close"].groupby(day).last(), "regime": regime})
    return feature_figures.prices_with_regimes(daily)


def signal_table(universe: Universe, tables: Tables) -> pd.DataFrame:
    """The signal's trades at unit size, gross: how many, how long, how often and how much they win."""
    rows = {}
    for symbol, frame in universe.bars.items():
        trades = signal_trades(frame, tables[symbol])
        gross = trades["gross_return"]
        held_bars = trades["exit_row"].to_numpy() - trades["entry_row"].to_numpy()
        rows[symbol] = {
            "trades": len(trades),
            "bars in the market (%)": 100.0 * float((tables[symbol]["direction"] != 0).mean()),
            "mean holding (bars)": float(held_bars.mean()),
            "gross wins (%)": 100.0 * float((gross > 0).mean()),
            "mean gross (bps)": BPS * float(gross.mean()),
            "standard error (bps)": BPS * float(gross.std()) / np.sqrt(len(gross)),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("symbol").round(1)


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


def confidence_table(universe: Universe, tables: Tables, folds: Sequence[Fold]) -> pd.DataFrame:
    """Claimed against realised win rates of the test trades; see confidence.calibration_table."""
    return calibration_table(*_test_trades(universe, tables, folds))


def confidence_sentence(universe: Universe, tables: Tables, folds: Sequence[Fold]) -> str:
    """What the calibration amounts to, from the Brier scores of the model and of the plain test win rate."""
    claimed, won = _test_trades(universe, tables, folds)
    score = float(np.mean((claimed - won) ** 2))
    plain = float(np.mean((won.mean() - won) ** 2))
    better = "better than" if score < plain else "no better than"
    return (
        f"Brier score {score:.4f} on {len(won)} test trades, {better} always claiming the realised win rate ({plain:.4f}). "
        f"Claims range from {claimed.min():.2f} to {claimed.max():.2f}."
    )


def metrics(universe: Universe, tables: Tables, folds: Sequence[Fold]) -> dict[str, float]:
    """What metrics/features.json holds."""
    claimed, won = _test_trades(universe, tables, folds)
    return {
        "n_features": len(FEATURES),
        "n_symbols": len(universe.bars),
        "n_bars": sum(len(frame) for frame in universe.bars.values()),
        "n_folds": len(folds),
        "n_test_trades": len(won),
        "confidence_brier": round(float(np.mean((claimed - won) ** 2)), 6),
        "win_rate_brier": round(float(np.mean((won.mean() - won) ** 2)), 6),
    }
