"""Tables of the features report, on two hourly random walks of fifty days with holes made by hand."""

import numpy as np
import pandas as pd
import pytest

from sizewise.dataset.confidence import confidence_column
from sizewise.dataset.features import FEATURES, NAMES, compute_features
from sizewise.dataset.regimes import LABELS
from sizewise.dataset.signals import signal_trades
from sizewise.dataset.splits import Fold, Slice
from sizewise.dataset.store import Universe
from sizewise.market.instruments import load_instruments
from sizewise.params.dataset.regimes import Regimes
from sizewise.params.dataset.signals import Donchian, Signals
from sizewise.reports import features

RULES = Regimes(quantile_window_days=20)
SIGNALS = Signals(family=Donchian(entry_days=1, exit_days=1), max_hold_days=2)
BARS = 1200


def fold(number: int, train: dict[str, tuple[int, int]], test: dict[str, tuple[int, int]]) -> Fold:
    start = pd.Timestamp("2020-02-10", tz="UTC") + number * pd.Timedelta(days=5)
    slices = ({symbol: Slice(*rows) for symbol, rows in part.items()} for part in (train, test))
    return Fold("rolling", number, start, start + pd.Timedelta(days=5), *slices)


FOLDS = (
    fold(0, {"A": (150, 600)}, {"A": (650, 1050)}),
    fold(1, {"A": (200, 650), "B": (150, 650)}, {"A": (700, 1190), "B": (700, 1190)}),
)


@pytest.fixture(scope="module")
def universe(make_bars, root) -> Universe:
    hourly = load_instruments(root / "data" / "instruments.yaml")["BTCUSDT_1h"]
    bars = {"A": make_bars(BARS, seed=1), "B": make_bars(BARS + 3, seed=2)}
    # Three bars are missing from B, and two of A traded nothing.
    bars["B"] = bars["B"].drop(bars["B"].index[[500, 501, 700]])
    bars["A"].iloc[[10, 20], bars["A"].columns.get_loc("volume")] = 0.0
    return Universe(bars, dict.fromkeys(bars, hourly), "hash")


@pytest.fixture(scope="module")
def tables(universe) -> dict[str, pd.DataFrame]:
    found = {symbol: compute_features(frame, RULES, SIGNALS) for symbol, frame in universe.bars.items()}
    rng = np.random.default_rng(0)
    for table in found.values():
        for part in FOLDS:
            table[confidence_column(part)] = rng.uniform(0.3, 0.7, len(table)).astype(np.float32)
    return found


def trades_in_test(universe, tables) -> tuple[list[float], list[bool]]:
    """Claims and wins of trades whose fills lie inside a test slice, one by one."""
    claimed, won = [], []
    for part in FOLDS:
        for symbol, rows in part.test.items():
            for trade in signal_trades(universe.bars[symbol], tables[symbol]).to_dict("records"):
                if rows.start <= trade["entry_row"] and trade["exit_row"] + 1 <= rows.stop - 1:
                    claimed.append(float(tables[symbol][confidence_column(part)].iloc[int(trade["entry_row"])]))
                    won.append(trade["gross_return"] > 0)
    return claimed, won


def test_a_series_is_described(universe):
    table = features.series_table(universe)
    a, b = table.loc["A"], table.loc["B"]
    assert (a["bars"], a["missing bars"], a["without volume"]) == (BARS, 0, 2)
    assert (b["bars"], b["missing bars"], b["without volume"]) == (BARS, 3, 0)
    assert (a["first"], a["last"]) == ("2020-01-01", "2020-02-19")
    hourly = universe.instruments["A"]
    assert a["taker fee (bps)"] == hourly.taker_bps(universe.bars["A"].index)[-1]
    assert a["minutes"] == 60


def test_folds_show_who_takes_part():
    table = features.folds_table(FOLDS)
    assert table["A"].tolist() == ["450 / 400", "450 / 490"]
    assert table["B"].tolist() == ["- / -", "500 / 490"]
    assert table["test from"].tolist() == ["2020-02-10", "2020-02-15"]


def test_every_feature_is_defined():
    table = features.definitions(RULES)
    assert list(table.index) == list(NAMES)
    assert len(table) == len(FEATURES)
    assert table["definition"].str.len().min() > 5
    assert (table["warm-up (days)"] >= 0).all()


def test_the_most_redundant_pairs_come_first(tables):
    planted = {symbol: table.copy() for symbol, table in tables.items()}
    for table in planted.values():
        table["ret_6"] = -table["ret_24"]
    table = features.redundancy_table(planted, FOLDS[1])
    assert len(table) <= 12
    assert (table["correlation"].abs() >= 0.9).all()
    assert (table["correlation"].abs().diff().dropna() <= 1e-9).all()
    pairs = {frozenset(pair): value for *pair, value in table.itertuples(index=False)}
    assert pairs[frozenset(["ret_6", "ret_24"])] == -1.0


def test_correlation_is_of_train_bars_alone(tables):
    fold_ = FOLDS[0]
    poisoned = {symbol: table.copy() for symbol, table in tables.items()}
    poisoned["A"].iloc[fold_.train["A"].stop :, :20] = 1e9
    poisoned["B"].iloc[:, :20] = -1e9
    before, after = (features.redundancy_table(t, fold_) for t in (tables, poisoned))
    pd.testing.assert_frame_equal(before, after)
    poisoned["A"].iloc[fold_.train["A"].start : 600, :40] *= np.random.default_rng(0).normal(size=(450, 40))
    assert not features.redundancy_table(poisoned, fold_).equals(before)


def test_regime_shares_add_up(tables):
    table = features.regime_table(tables)
    for rule in ("trailing rule", "fixed 2% rule"):
        assert table[rule].sum(axis=1).tolist() == pytest.approx([100.0, 100.0], abs=0.3)
        assert set(table[rule].columns) == {label.replace("_", " ") for label in LABELS}
    share = 100.0 * (tables["A"]["regime"] == "low_vol_trending").mean()
    assert table.loc["A", ("trailing rule", "low vol trending")] == pytest.approx(share, abs=0.05)
    assert table.loc["A", ("ATR (%)", "median")] == pytest.approx(100 * tables["A"]["atr_frac"].median(), abs=0.05)


def test_the_signal_by_symbol(universe, tables):
    row = features.signal_table(universe, tables).loc["A"]
    trades = signal_trades(universe.bars["A"], tables["A"])
    gross = trades["gross_return"]
    assert row["trades"] == len(trades) > 10
    assert row["gross wins (%)"] == pytest.approx(100 * (gross > 0).mean(), abs=0.05)
    assert row["mean gross (bps)"] == pytest.approx(1e4 * gross.mean(), abs=0.05)
    assert row["standard error (bps)"] == pytest.approx(1e4 * gross.std(ddof=1) / np.sqrt(len(gross)), abs=0.05)
    assert 0 < row["mean holding (days)"] <= SIGNALS.max_hold_days
    assert row["bars in the market (%)"] == pytest.approx(100 * (tables["A"]["direction"] != 0).mean(), abs=0.05)


def test_confidence_is_judged_on_test_trades_alone(universe, tables):
    claimed, won = trades_in_test(universe, tables)
    assert 3 < len(claimed) < 60
    found = features.metrics(universe, tables, FOLDS)
    assert found["n_test_trades"] == len(claimed) == features.confidence_table(universe, tables, FOLDS)["n"].sum()
    brier = np.mean((np.array(claimed) - won) ** 2)
    assert found["confidence_brier"] == pytest.approx(brier, abs=1e-6)
    assert found["win_rate_brier"] == pytest.approx(np.mean(won) * (1 - np.mean(won)), abs=1e-6)
    assert (found["n_features"], found["n_symbols"], found["n_bars"], found["n_folds"]) == (len(NAMES), 2, 2 * BARS, 2)


@pytest.mark.parametrize(("claim", "words"), [(True, "better than"), (False, "no better than")])
def test_what_the_calibration_amounts_to(universe, tables, claim, words):
    """Claims that know the outcome are better than the plain win rate; claims that know its opposite are not."""
    planted = {symbol: table.copy() for symbol, table in tables.items()}
    for symbol, table in planted.items():
        trades = signal_trades(universe.bars[symbol], table)
        knows = ((trades["gross_return"] > 0) == claim).to_numpy()
        for part in FOLDS:
            column = table[confidence_column(part)].to_numpy().copy()
            column[trades["entry_row"]] = np.where(knows, 0.9, 0.1)
            table[confidence_column(part)] = column
    said = features.confidence_sentence(universe, planted, FOLDS)
    count = features.metrics(universe, planted, FOLDS)["n_test_trades"]
    assert f"on {count} test trades, {words} always claiming the realised win rate" in said
    assert said.endswith("Claims range from 0.10 to 0.90.")


def test_figures_draw(universe, tables):
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    mpl.use("agg")
    with plt.rc_context({"figure.constrained_layout.use": True}):
        spans = features.coverage_figure(universe, FOLDS)
        prices = features.regime_figure(universe, tables)
        matrix = features.correlation_figure(tables, FOLDS[1])
        assert [label.get_text() for label in spans.axes[0].get_yticklabels()] == ["A", "B"]
        assert [axes.get_title() for axes in prices.axes] == ["A", "B"]
        names = [label.get_text() for label in matrix.axes[0].get_yticklabels()]
        assert set(names) <= set(NAMES)
        assert len(names) > 30
        # The one that is fitted, a fold's own, among them.
        assert names[-1] == "signal_confidence"
        assert matrix.axes[0].get_title() == f"How much {len(names)} features say the same thing"
        plt.close("all")


def test_of_many_train_bars_every_so_many_is_looked_at_and_that_is_said(tables, monkeypatch, drawn):
    whole, label = features.redundancy_table(tables, FOLDS[1]), "Pearson correlation over "
    assert features.correlation_figure(tables, FOLDS[1]).axes[1].get_ylabel() == f"{label}train bars"
    monkeypatch.setattr(features, "MOST_BARS", 400)
    assert features.correlation_figure(tables, FOLDS[1]).axes[1].get_ylabel() == f"{label}one of 3 train bars"
    thinned = {name: table.copy() for name, table in tables.items()}
    for name, part in FOLDS[1].train.items():
        rows = np.arange(part.start, part.stop)
        thinned[name].iloc[rows[np.arange(len(rows)) % 3 != 0], :20] = 1e9
    table = features.redundancy_table(tables, FOLDS[1])
    pd.testing.assert_frame_equal(features.redundancy_table(thinned, FOLDS[1]), table)
    assert not table.equals(whole)
