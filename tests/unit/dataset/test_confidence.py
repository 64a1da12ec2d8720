"""Confidence is fitted on train trades alone, scores train trades out of block, and travels as plain numbers."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from statsmodels.stats.proportion import proportion_confint

from sizewise.base.errors import ConfigError
from sizewise.dataset.confidence import (
    CONFIDENCE_INPUTS,
    ConfidenceModel,
    calibration_table,
    confidence_column,
    confidence_inputs,
    fit_confidence,
    train_trades,
)
from sizewise.dataset.features import NAMES, compute_features
from sizewise.dataset.signals import signal_trades
from sizewise.dataset.splits import Fold, Slice
from sizewise.params.dataset.regimes import Regimes
from sizewise.params.dataset.signals import Donchian, Signals

RULE = Signals(family=Donchian(entry_days=12, exit_days=6), max_hold_days=24, confidence_blocks=3)
REGIMES = Regimes(quantile_window_days=400)
TRAIN = {"one": Slice(150, 1600), "two": Slice(300, 1700)}


def fold_of(train: dict[str, Slice]) -> Fold:
    start, end = pd.Timestamp("2020-03-15", tz="UTC"), pd.Timestamp("2020-04-15", tz="UTC")
    return Fold("rolling", 2, start, end, train, {name: Slice(1800, 2400) for name in train})


FOLD = fold_of(TRAIN)


def features_of(bars):
    return {name: compute_features(table, REGIMES, RULE) for name, table in bars.items()}


@pytest.fixture(scope="module")
def bars(make_bars):
    return {"one": make_bars(2400, seed=21, bar_minutes=1440), "two": make_bars(2400, seed=22, bar_minutes=1440)}


@pytest.fixture(scope="module")
def features(bars):
    return features_of(bars)


@pytest.fixture(scope="module")
def fitted(bars, features):
    return fit_confidence(bars, features, FOLD, RULE)


@pytest.fixture(scope="module")
def trades(bars, features):
    """(inputs, won) of both symbols' train trades."""
    parts = [train_trades(bars[name], features[name], TRAIN[name]) for name in TRAIN]
    return np.concatenate([part.inputs for part in parts]), np.concatenate([part.won for part in parts])


def test_train_trades_lie_wholly_inside_the_slice(bars, features):
    found = train_trades(bars["one"], features["one"], TRAIN["one"])
    rows, inputs, won = found.entry_row, found.inputs, found.won
    every = signal_trades(bars["one"], features["one"])
    kept = every[every["entry_row"].isin(rows)]
    exits = kept["exit_row"].to_numpy()
    np.testing.assert_array_equal(pd.DatetimeIndex(found.entry_time, tz="UTC"), bars["one"].index[rows])
    assert rows.min() >= 150
    # The exit decided at row e fills at e + 1, which must still be a train row.
    assert exits.max() + 1 < 1600
    left_out = every[~every["entry_row"].isin(rows)]
    assert ((left_out["entry_row"] < 150) | (left_out["exit_row"] + 1 >= 1600)).all()
    np.testing.assert_array_equal(won, kept["gross_return"] > 0)
    assert inputs.shape == (len(rows), len(CONFIDENCE_INPUTS))
    boundary = Slice(150, int(exits[-1]) + 1)
    assert rows[-1] not in train_trades(bars["one"], features["one"], boundary).entry_row
    assert rows[-1] in train_trades(bars["one"], features["one"], Slice(150, int(exits[-1]) + 2)).entry_row


def test_signed_inputs_mirror_and_the_others_do_not(features):
    table = features["one"].iloc[200:260]
    up, down = (confidence_inputs(table, np.full(60, side)) for side in (1.0, -1.0))
    for column, (name, signed) in enumerate(CONFIDENCE_INPUTS):
        assert name in NAMES
        np.testing.assert_array_equal(down[:, column], -up[:, column] if signed else up[:, column])
    rsi = [name for name, _ in CONFIDENCE_INPUTS].index("rsi_14")
    np.testing.assert_array_equal(up[:, rsi], table["rsi_14"] - 50.0)


@pytest.mark.parametrize("symbol", ["one", "two"])
def test_bars_after_the_train_slice_change_nothing_in_the_model(symbol, bars, fitted):
    stop = TRAIN[symbol].stop
    changed = {name: table.copy() for name, table in bars.items()}
    changed[symbol].iloc[stop:] *= np.linspace(1.5, 3.0, 2400 - stop)[:, None]
    features = features_of(changed)
    model, scores = fit_confidence(changed, features, FOLD, RULE)
    assert model == fitted[0]
    np.testing.assert_array_equal(scores[symbol][:stop], fitted[1][symbol][:stop])
    assert not np.array_equal(scores[symbol][stop:], fitted[1][symbol][stop:])


@pytest.mark.parametrize("symbol", ["one", "two"])
def test_bars_inside_the_train_slice_change_the_model(symbol, bars, fitted):
    changed = {name: table.copy() for name, table in bars.items()}
    changed[symbol].iloc[1000:] *= 1.5
    model, _ = fit_confidence(changed, features_of(changed), FOLD, RULE)
    assert model != fitted[0]


def test_a_symbol_outside_the_train_slices_is_scored_but_never_fitted(bars, features):
    alone = fold_of({"one": TRAIN["one"]})
    model, scores = fit_confidence(bars, features, alone, RULE)
    only, _ = fit_confidence({"one": bars["one"]}, {"one": features["one"]}, alone, RULE)
    assert model == only
    live = features["two"]["direction"].to_numpy() != 0
    assert (scores["two"][live][100:] > 0).all()


def test_train_entries_get_the_score_of_a_model_that_saw_no_trade_of_their_stretch(bars, features, fitted):
    """Stretches are of calendar, over all symbols: a twin series cannot tell what happened in the same hours."""
    model, scores = fitted
    found = {name: train_trades(bars[name], features[name], TRAIN[name]) for name in TRAIN}
    every = sorted((time, name, i) for name, part in found.items() for i, time in enumerate(part.entry_time))
    n = len(every)
    for number in range(RULE.confidence_blocks):
        first, stop = (n * number) // RULE.confidence_blocks, (n * (number + 1)) // RULE.confidence_blocks
        inside = {(name, i) for _, name, i in every[first:stop]}
        kept = [(name, i) for name, part in found.items() for i in range(len(part.won)) if (name, i) not in inside]
        blind = ConfidenceModel.fit(
            np.array([found[name].inputs[i] for name, i in kept]),
            np.array([found[name].won[i] for name, i in kept]),
            RULE,
        )
        for name, part in found.items():
            mine = [i for _, other, i in every[first:stop] if other == name]
            np.testing.assert_allclose(scores[name][part.entry_row[mine]], blind.predict(part.inputs[mine]), rtol=1e-9)
            assert not np.allclose(scores[name][part.entry_row[mine]], model.predict(part.inputs[mine]), rtol=1e-6)


def test_scores_are_set_at_entry_held_to_the_exit_and_zero_when_flat(features, fitted):
    table, score = features["two"].iloc[300:], fitted[1]["two"][300:]
    direction, entry = table["direction"].to_numpy(), table["entry"].to_numpy()
    assert (score[direction == 0] == 0).all()
    first_entry = int(entry.argmax())
    held = (direction != 0) & ~entry
    held[:first_entry] = False
    np.testing.assert_array_equal(score[held], score[np.flatnonzero(held) - 1])
    assert ((score[entry] > 0) & (score[entry] < 1)).all()
    test_rows = np.flatnonzero(features["two"]["entry"].to_numpy())
    test_rows = test_rows[test_rows > TRAIN["two"].stop]
    inputs = confidence_inputs(features["two"], features["two"]["direction"].to_numpy(dtype=np.float64))
    np.testing.assert_array_equal(fitted[1]["two"][test_rows], fitted[0].predict(inputs[test_rows]))


def test_prediction_equals_sklearns(trades, fitted):
    inputs, won = trades
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=1.0 / RULE.confidence_l2))
    oracle = CalibratedClassifierCV(pipeline, method="sigmoid", cv=RULE.confidence_blocks, ensemble=False)
    oracle.fit(inputs, won)
    assert fitted[0].n_trades == len(won)
    np.testing.assert_allclose(fitted[0].predict(inputs), oracle.predict_proba(inputs)[:, 1], rtol=0, atol=1e-5)
    assert fitted[0].predict(inputs).std() > 1e-4


def test_a_stronger_penalty_shrinks_the_coefficients(trades):
    loose, tight = (ConfidenceModel.fit(*trades, RULE.model_copy(update={"confidence_l2": l2})) for l2 in (1.0, 1000.0))
    assert np.linalg.norm(tight.coefficients) < 0.2 * np.linalg.norm(loose.coefficients)


def test_the_model_finds_a_planted_edge():
    rng = np.random.default_rng(3)
    inputs = rng.normal(size=(4000, len(CONFIDENCE_INPUTS)))
    truth = 1.0 / (1.0 + np.exp(-inputs[:, 0]))
    model = ConfidenceModel.fit(inputs[:3000], rng.random(3000) < truth[:3000], RULE)
    assert np.abs(model.predict(inputs[3000:]) - truth[3000:]).mean() < 0.03


def test_the_model_travels_as_json(trades, fitted):
    model = ConfidenceModel.from_json(json.loads(json.dumps(fitted[0].to_json())))
    assert model == fitted[0]
    np.testing.assert_array_equal(model.predict(trades[0]), fitted[0].predict(trades[0]))


def test_a_missing_input_gives_a_missing_prediction(trades, fitted):
    inputs = trades[0][:3].copy()
    inputs[1, 4] = np.nan
    assert np.isnan(fitted[0].predict(inputs)).tolist() == [False, True, False]


def test_too_few_trades_are_refused(bars, features):
    short = fold_of({"one": Slice(150, 500)})
    with pytest.raises(
        ConfigError, match=r"fold 2 \(rolling\) has \d+ train trades to fit on.*lengthen the train slice"
    ):
        fit_confidence(bars, features, short, RULE.model_copy(update={"confidence_blocks": 8}))
    enough = RULE.model_copy(update={"confidence_blocks": 2})
    assert 8 <= fit_confidence(bars, features, short, enough)[0].n_trades < 32


def scripted(outcomes: list[bool]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One long trade of three bars for each outcome, with made-up inputs."""
    rng = np.random.default_rng(0)
    n_bars = 5 * len(outcomes) + 5
    opens = np.full(n_bars, 100.0)
    direction, entry = np.zeros(n_bars, dtype=np.int8), np.zeros(n_bars, dtype=bool)
    for number, won in enumerate(outcomes):
        row = 5 * number + 1
        entry[row], direction[row : row + 2] = True, 1
        opens[row + 3] = 101.0 if won else 99.0
    features = pd.DataFrame({name: rng.normal(size=n_bars) for name, _ in CONFIDENCE_INPUTS})
    return pd.DataFrame({"open": opens}), features.assign(direction=direction, entry=entry)


@pytest.mark.parametrize(
    ("outcomes", "fits"),
    [([True, False] * 6, True), ([True, False] * 5 + [False] * 2, False), ([False] * 12, False), ([True] * 12, False)],
)
def test_trades_that_nearly_all_went_one_way_are_refused(outcomes, fits):
    bars, features = scripted(outcomes)
    fold = fold_of({"one": Slice(0, len(bars))})
    if fits:
        assert fit_confidence({"one": bars}, {"one": features}, fold, RULE)[0].n_trades == 12
    else:
        with pytest.raises(ConfigError, match=f"{sum(outcomes)} won: too few"):
            fit_confidence({"one": bars}, {"one": features}, fold, RULE)


def test_wins_that_all_lie_in_one_block_are_refused():
    # Without its block of wins the rest has lost every trade: no blind model exists.
    bars, features = scripted([True] * 6 + [False] * 12)
    fold = fold_of({"one": Slice(0, len(bars))})
    with pytest.raises(ConfigError, match=r"has 12 train trades to fit on, 0 won: too few"):
        fit_confidence({"one": bars}, {"one": features}, fold, RULE)


def test_column_names_tell_folds_apart():
    assert confidence_column(FOLD) == "confidence_rolling_2"


def test_calibration_intervals_are_wilsons():
    rng = np.random.default_rng(8)
    confidence = rng.random(203)
    won = rng.random(203) < confidence
    table = calibration_table(confidence, won, bins=4)
    assert table["n"].to_list() == [51, 51, 51, 50]
    assert table["claimed"].is_monotonic_increasing
    ranked = won[np.argsort(confidence)]
    assert table["realised"].iloc[0] == pytest.approx(ranked[:51].mean())
    hits = np.round(table["realised"] * table["n"]).to_numpy()
    low, high = proportion_confint(hits, table["n"].to_numpy(), alpha=0.05, method="wilson")
    np.testing.assert_allclose(table["low"], low, atol=1e-7)
    np.testing.assert_allclose(table["high"], high, atol=1e-7)


@pytest.mark.parametrize(("won", "share"), [(np.ones(10, dtype=bool), 1.0), (np.zeros(10, dtype=bool), 0.0)])
def test_calibration_of_a_bin_without_variation(won, share):
    table = calibration_table(np.linspace(0.4, 0.6, 10), won, bins=1)
    low, high = proportion_confint(int(won.sum()), 10, method="wilson")
    assert table["realised"].to_list() == [share]
    np.testing.assert_allclose(table[["low", "high"]].to_numpy()[0], [low, high], atol=1e-7)
