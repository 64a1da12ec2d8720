"""How much a signal is worth: the probability that its trade makes a gross profit, fitted on train trades only.

A signal of one's own may bring its own; then nothing is fitted, and that one stands wherever the fitted one would.
Confidence is set at entry and carried to the exit, because that is when size is chosen.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from sizewise.base.arithmetic import fitted
from sizewise.base.errors import ConfigError
from sizewise.dataset.own.signal import GIVEN
from sizewise.dataset.signals import carry_from_entry, signal_trades
from sizewise.dataset.splits import Division, Slice, stretches
from sizewise.params.dataset.signals import Signals

# Inputs of the confidence model; those marked True change sign with the direction of the trade.
CONFIDENCE_INPUTS: tuple[tuple[str, bool], ...] = (
    ("ret_6", True),
    ("ret_24", True),
    ("ret_96", True),
    ("ema_distance_96", True),
    ("rsi_14", True),
    ("adx_14", False),
    ("efficiency_24", False),
    ("atr_ratio", False),
    ("vol_ratio", False),
    ("volume_z_24", False),
)
# What a policy reads of it. Six still differ between processors in a few cells, five in none.
CONFIDENCE_DECIMALS = 5
# RSI is centred before its sign is turned.
RSI_CENTRE = 50.0


def confidence_inputs(features: pd.DataFrame, direction: np.ndarray) -> np.ndarray:
    """Model inputs of every row: float64, shape (T, len(CONFIDENCE_INPUTS)), signed by `direction` (T,)."""
    columns = []
    for name, signed in CONFIDENCE_INPUTS:
        values = features[name].to_numpy(dtype=np.float64)
        values = values - RSI_CENTRE if name.startswith("rsi") else values
        columns.append(values * direction if signed else values)
    return np.column_stack(columns)


@dataclass(frozen=True)
class ConfidenceModel:
    """A standardised logistic regression with Platt calibration, as plain numbers so that it travels as JSON."""

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    coefficients: tuple[float, ...]
    intercept: float
    platt_slope: float
    platt_intercept: float
    n_trades: int

    @classmethod
    def fit(cls, inputs: np.ndarray, won: np.ndarray, rule: Signals) -> "ConfidenceModel":
        """Fit on finished train trades.

        Args:
            inputs: float64, shape (n, len(CONFIDENCE_INPUTS)), rows at entries.
            won: bool, shape (n,), gross profit.
        """
        # Who only scores is spared a second of reading.
        from sklearn.calibration import CalibratedClassifierCV
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=1.0 / rule.confidence_l2))
        model = CalibratedClassifierCV(pipeline, method="sigmoid", cv=rule.confidence_blocks, ensemble=False)
        # Matrices this small gain nothing from more threads, which spin for most of the time where cores are shared.
        with threadpool_limits(limits=1, user_api="blas"):
            model.fit(inputs, won)
        found = model.calibrated_classifiers_[0]
        scaler, logistic = found.estimator[0], found.estimator[1]
        calibrator = found.calibrators[0]
        return cls(
            mean=tuple(fitted(float(m), float(s)) for m, s in zip(scaler.mean_, scaler.scale_, strict=True)),
            scale=tuple(fitted(float(value)) for value in scaler.scale_),
            coefficients=tuple(fitted(float(value)) for value in logistic.coef_[0]),
            intercept=fitted(float(logistic.intercept_[0])),
            platt_slope=fitted(float(calibrator.a_)),
            platt_intercept=fitted(float(calibrator.b_)),
            n_trades=len(won),
        )

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """Probability of a gross profit: float64, shape (n,), in [0, 1], to CONFIDENCE_DECIMALS; NaN where an input is."""
        score = ((inputs - np.array(self.mean)) / np.array(self.scale)) @ np.array(self.coefficients) + self.intercept
        return np.round(1.0 / (1.0 + np.exp(self.platt_slope * score + self.platt_intercept)), CONFIDENCE_DECIMALS)

    def score(self, table: pd.DataFrame) -> np.ndarray:
        """The same of every row of a table of features, as if a trade began there: float64, shape (T,)."""
        return self.predict(confidence_inputs(table, table["direction"].to_numpy(dtype=np.float64)))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "ConfidenceModel":
        typed: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        return cls(**typed)


@dataclass(frozen=True)
class GivenConfidence:
    """The confidence that the signal brings, read from its column; nothing is fitted."""

    def score(self, table: pd.DataFrame) -> np.ndarray:
        """What the signal says at every row: float64, shape (T,).

        Raises:
            ConfigError: the table's signal has none.
        """
        if GIVEN not in table:
            raise ConfigError("signals: the confidence is the signal's own, and this one has none: train again")
        return table[GIVEN].to_numpy(dtype=np.float64)

    def to_json(self) -> dict[str, Any]:
        return {"given": True}


Confidence = ConfidenceModel | GivenConfidence


def confidence_from_json(values: Mapping[str, Any]) -> Confidence:
    """What either of them wrote."""
    return GivenConfidence() if values == {"given": True} else ConfidenceModel.from_json(values)


def confidence_column(fold: Division) -> str:
    """Name of the column that carries a fold's confidence, such as `confidence_rolling_0`."""
    return f"confidence_{fold.scheme}_{fold.number}"


@dataclass(frozen=True)
class TrainTrades:
    """Finished trades that each lie wholly inside one train slice, oldest first.

    entry_row: int64 (n,). entry_time: int64 (n,), nanoseconds UTC. inputs: float64 (n, 10). won: bool (n,), gross.
    """

    entry_row: np.ndarray
    entry_time: np.ndarray
    inputs: np.ndarray
    won: np.ndarray


def train_trades(bars: pd.DataFrame, features: pd.DataFrame, learn: Slice | tuple[Slice, ...]) -> TrainTrades:
    """The trades of one symbol that a confidence model may learn from; entry and exit fill inside one slice."""
    trades = signal_trades(bars, features)
    inside = within(trades, learn)
    rows = trades.loc[inside, "entry_row"].to_numpy()
    inputs = confidence_inputs(features, features["direction"].to_numpy(dtype=np.float64))
    times = pd.DatetimeIndex(bars.index).as_unit("ns").asi8
    return TrainTrades(rows, times[rows], inputs[rows], (trades.loc[inside, "gross_return"] > 0).to_numpy())


def within(trades: pd.DataFrame, learn: Slice | tuple[Slice, ...]) -> np.ndarray:
    """Which trades enter and leave inside one slice, fills included: bool, one a row of `trades` (see signal_trades)."""
    enter, leave = trades["entry_row"].to_numpy(), trades["exit_row"].to_numpy()
    return np.any([(enter >= part.start) & (leave + 1 < part.stop) for part in stretches(learn)], axis=0)


def stretch_edges(fold: Division, times: np.ndarray, won: np.ndarray, rule: Signals) -> np.ndarray:
    """The times that part a fold's train trades into stretches of equally many, if every part leaves enough to fit on.

    Args:
        times: int64 (n,), entry times of the trades of all symbols, any order. won: bool (n,).
    Returns:
        int64 (rule.confidence_blocks - 1,), increasing.
    Raises:
        ConfigError: too few train trades, or all won or lost.
    """
    if _rarer(won) < 2 * rule.confidence_blocks:
        raise _too_few(fold, won)
    # Equally many trades in each; every time belongs to one stretch.
    edges = np.sort(times)[np.linspace(0, len(times), rule.confidence_blocks + 1).astype(int)[1:-1]]
    stretch = np.searchsorted(edges, times, side="right")
    for number in range(rule.confidence_blocks):
        kept = won[stretch != number]
        if _rarer(kept) < rule.confidence_blocks:
            raise _too_few(fold, kept)
    return edges


def fit_confidence(
    bars: Mapping[str, pd.DataFrame],
    features: Mapping[str, pd.DataFrame],
    fold: Division,
    rule: Signals,
) -> tuple[Confidence, dict[str, np.ndarray]]:
    """Fit one confidence model on all symbols' train trades of a fold, and score every bar of every symbol.

    A signal that brings its own is not fitted: that is scored.

    A train trade gets the score of a model that saw no trade of any symbol entered in the same stretch of calendar, so
    that a policy trained on it meets confidence as uncertain as it will be out of sample. All other bars get the model
    fitted on the whole train slice.

    Returns:
        the model, and by symbol the confidence of the live trade at each bar: float64, shape (T,), 0 when flat.
    Raises:
        ConfigError: too few train trades, or all won or lost; or one symbol's signal brings a confidence, another's not.
    """
    if any(GIVEN in table for table in features.values()):
        given = GivenConfidence()
        return given, {
            symbol: carry_from_entry(_given(given, symbol, table), table) for symbol, table in features.items()
        }
    gathered = {symbol: train_trades(bars[symbol], features[symbol], learn) for symbol, learn in fold.train.items()}
    inputs = np.concatenate([trades.inputs for trades in gathered.values()])
    won = np.concatenate([trades.won for trades in gathered.values()])
    times = np.concatenate([trades.entry_time for trades in gathered.values()])
    edges = stretch_edges(fold, times, won, rule)
    model = ConfidenceModel.fit(inputs, won, rule)
    stretch = np.searchsorted(edges, times, side="right")
    kept = [stretch != number for number in range(rule.confidence_blocks)]
    unseen = [ConfidenceModel.fit(inputs[rows], won[rows], rule) for rows in kept]
    scores = {}
    for symbol, table in features.items():
        score = model.score(table)
        if symbol in gathered:
            mine = gathered[symbol]
            own = np.searchsorted(edges, mine.entry_time, side="right")
            for number, other in enumerate(unseen):
                rows = own == number
                score[mine.entry_row[rows]] = other.predict(mine.inputs[rows])
        scores[symbol] = carry_from_entry(score, table)
    return model, scores


def _given(own: GivenConfidence, symbol: str, table: pd.DataFrame) -> np.ndarray:
    if GIVEN not in table:
        raise ConfigError(f"signals: {symbol} has no confidence where others bring one: add its column, or drop theirs")
    return own.score(table)


def _rarer(won: np.ndarray) -> int:
    return int(min(won.sum(), (~won).sum()))


def _too_few(fold: Division, won: np.ndarray) -> ConfigError:
    return ConfigError(
        f"signals: fold {fold.number} ({fold.scheme}) has {len(won)} train trades to fit on, {won.sum()} won: "
        "too few for a confidence; lengthen the train slice or take a faster signals.family"
    )


def calibration_table(confidence: np.ndarray, won: np.ndarray, *, bins: int = 5) -> pd.DataFrame:
    """Claimed against realised win rate in equally filled bins of confidence.

    Returns:
        columns `n`, `claimed`, `realised`, and the Wilson 95% interval `low`, `high`, one row a bin.
    """
    order = np.argsort(confidence, kind="stable")
    rows: list[dict[str, Any]] = []
    z = 1.959964
    for part in np.array_split(order, bins):
        n, share = len(part), float(won[part].mean())
        centre = (share + z * z / (2 * n)) / (1 + z * z / n)
        half = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
        claimed = float(confidence[part].mean())
        rows.append({"n": n, "claimed": claimed, "realised": share, "low": centre - half, "high": centre + half})
    return pd.DataFrame(rows)
