"""Models that learn from anybody's own closed trades: told of opens and closes as they happen, kept as a journal of them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from sizewise.base.arithmetic import fitted
from sizewise.base.card import card
from sizewise.base.errors import ActionError, CheckpointError, ConfigError, DecisionError
from sizewise.base.paths import require, write_atomically
from sizewise.dataset.features import Scaler
from sizewise.learning.closed_trades.learner import ClosedTradeLearner, Seen
from sizewise.learning.closed_trades.lessons import SMALLEST_MOVE, Result, flow_columns
from sizewise.learning.closed_trades.memory import DUST
from sizewise.learning.closed_trades.policy import ClosedTradePolicy, save_closed_trades
from sizewise.learning.closed_trades.training import PROBES
from sizewise.learning.ppo.encoders import scaled, scaler_of
from sizewise.learning.stored import reading
from sizewise.params.learning.outcome import ClosedTrades, ModelName
from sizewise.params.trading.account import Account
from sizewise.sizing.identifiability import check_identifiable, trade_probe
from sizewise.trading.schemes.values import position_limit_frac

# Of a symbol that has closed nothing.
FIRST_MOVE = 0.01
FILE, FORMAT = "journal.safetensors", 1


class OwnTrades:
    """Trades that are told one after the other; see rewards.Trades.

    What an ordinary result is follows from what has closed: the mean of |unit return|, and the root of its mean square
    times the position limit, parts by their share.
    """

    marked = drift = np.zeros(0)
    # Nobody knows how many come.
    planned = 0

    def __init__(self, symbols: Sequence[str], window_bars: int, n_features: int, limit_frac: float):
        self.symbols, self._limit_frac = tuple(symbols), limit_frac
        self.windows = torch.zeros((64, window_bars, n_features))
        self._symbol: list[int] = []
        # By symbol: closes, their |unit return| and its square, added up.
        self._sums = np.zeros((3, len(self.symbols)))

    def add(self, symbol: str, window: torch.Tensor) -> int:
        """Keep what was seen at an entry; returns the trade's number."""
        trade = len(self._symbol)
        if trade == len(self.windows):
            self.windows = torch.cat([self.windows, torch.zeros_like(self.windows)])
        self.windows[trade] = window
        self._symbol.append(self.symbols.index(symbol))
        return trade

    def note(self, trade: int, unit_return: float, share: float) -> None:
        """Count a close among what is ordinary for its symbol."""
        size = abs(unit_return)
        self._sums[:, self._symbol[trade]] += share * np.array([1.0, size, size * size])

    def symbol_of(self, trade: int) -> int:
        """Number of a trade's symbol."""
        return self._symbol[trade]

    def result(self, trade: int) -> Result:
        """What a trade did is told at its close alone."""
        raise DecisionError(f"trade {trade} has no result of its own: give that of each close")

    @property
    def rose(self) -> np.ndarray:
        """No horizons: bars after the entry are not told."""
        return np.zeros((len(self._symbol), 0), dtype=np.float32)

    @property
    def typical_move(self) -> np.ndarray:
        """Mean |unit return| by symbol, float64."""
        return self._ordinary(self._sums[1] / np.maximum(self._sums[0], DUST))

    @property
    def typical_growth(self) -> np.ndarray:
        """Log growth at the position limit that is ordinary, by symbol, float64."""
        return self._limit_frac * self._ordinary(np.sqrt(self._sums[2] / np.maximum(self._sums[0], DUST)))

    def _ordinary(self, values: np.ndarray) -> np.ndarray:
        told = np.array([max(fitted(float(value)), SMALLEST_MOVE) for value in values])
        return np.where(self._sums[0] > 0.0, told, FIRST_MOVE)


class OwnTradeLearner:
    """A closed-trade model of one's own log: `open` at every entry, `close` at every exit; nothing else teaches it.

    `save` keeps the journal of what was told, and `load_own_trades` learns it again, bit for bit, so that there is one
    file, old or new as a whole. That costs some milliseconds a close. The policy beside it is for use: it loads with
    policy.load_closed_trades and sizes like one that was trained on a market.

    Args:
        kind: dqn or outcome_ensemble. account: its position limit is what sizes are shares of, its initial equity what
            drawdowns are counted from. symbols: that may be traded.
        features: names of a window's columns; those of the order-flow model (rules.flow_features) must be among them.
        scalers: by symbol; default none, windows are read as they are. seed: of weights, exploration and replay.
    Raises:
        ConfigError: no such feature, a reward that cannot teach sizes, or horizons, whose bars nobody tells.
    """

    def __init__(
        self,
        kind: str,
        rules: ClosedTrades,
        account: Account,
        symbols: Sequence[str],
        features: Sequence[str],
        *,
        scalers: Mapping[str, Scaler] | None = None,
        seed: int = 1,
    ):
        if rules.horizons_bars:
            raise ConfigError(
                "outcome.horizons_bars need bars after the entry, which a log does not have: set it to []"
            )
        limit_frac = position_limit_frac(account)
        if not rules.accept_size_blind:
            check_identifiable(trade_probe(PROBES[rules.reward]), [limit_frac * size for size in rules.sizes])
        plain = Scaler((0.0,) * len(features), (1.0,) * len(features))
        self._scalers = {symbol: (scalers or {}).get(symbol, plain) for symbol in symbols}
        self._kind, self._rules, self._account, self._seed = kind, rules, account, seed
        self._features = tuple(features)
        self._trades = OwnTrades(symbols, rules.window_bars, len(features), limit_frac)
        columns = flow_columns(rules, features)
        self._learner = ClosedTradeLearner(self._trades, rules, kind, account, [f"own_{kind}_seed{seed}"], columns)
        self._number: dict[str, int] = {}
        self._known: set[str] = set()
        self._windows: list[torch.Tensor] = []
        self._journal: list[dict[str, Any]] = []

    def _repr_html_(self) -> str:
        """For notebooks: what it is, and how much it has been told."""
        facts = {
            "symbols": ", ".join(self._trades.symbols),
            "closes": f"{self.closes:,}, {self.updates:,} updates",
            "open decisions": f"{len(self._number):,}",
            "contributions": ", ".join(f"{model} {share:.2f}" for model, share in self.contributions.items()),
            "sizes": f"up to {self._learner.limit_frac:.2f} of equity",
        }
        return card(f"learner of closed trades: {self._kind}, seed {self._seed}", facts)

    def __contains__(self, decision_id: object) -> bool:
        """Whether something of a decision is open."""
        return decision_id in self._number

    def knows(self, decision_id: str) -> bool:
        """Whether a decision is open or has been."""
        return decision_id in self._known

    @property
    def closes(self) -> int:
        """Closes so far, parts counted as one each; as many updates, but those that were skipped."""
        return self._learner.closes

    @property
    def updates(self) -> int:
        """Updates so far."""
        return self._learner.updates

    @property
    def window_bars(self) -> int:
        """Bars that the models see of a decision."""
        return self._rules.window_bars

    def held_frac(self, symbol: str) -> float:
        """|position| of a symbol's open decisions at the sizes they were taken with, share of equity."""
        learner, open_ = self._learner, self._number.values()
        held = (
            learner.log.left(number) * float(learner.log.record(number).size[0])
            for number in open_
            if self._trades.symbols[self._trades.symbol_of(learner.log.record(number).trade)] == symbol
        )
        return learner.limit_frac * sum(held)

    @property
    def contributions(self) -> dict[ModelName, float]:
        """Of the models to a decision that is taken now."""
        learner = self._learner
        return dict(zip(learner.models, learner.contributions()[0].tolist(), strict=True))

    @property
    def policy(self) -> ClosedTradePolicy:
        """What has been learned, for use."""
        learner = self._learner
        return ClosedTradePolicy(
            kind=self._kind,
            rules=self._rules,
            account=self._account,
            features=self._features,
            networks={
                model: {name: value[0].clone() for name, value in layers.items()}
                for model, layers in learner.networks.items()
            },
            contributions=self.contributions,
            scalers=self._scalers,
            typical_move=dict(zip(self._trades.symbols, self._trades.typical_move.tolist(), strict=True)),
            origin={"seed": self._seed, "closes": self.closes, "updates": self.updates, "skipped": learner.skipped},
        )

    def open(
        self,
        decision_id: str,
        symbol: str,
        window: np.ndarray,
        *,
        equity: float,
        position_frac: float = 0.0,
        size_frac: float | None = None,
        contributions: Mapping[ModelName, float] | None = None,
    ) -> float:
        """Keep a decision until its last part is closed; returns the size it was taken at, share of equity.

        Args:
            window: float [window_bars, features], oldest first, the last bar being the one that decides; not scaled.
            equity: of the account, quote currency. position_frac: |position| just before, share of equity.
            size_frac: that was taken, share of equity; None takes what the models propose.
            contributions: of each model to this decision, at least 0, their sum above 0 and at most 1; by default the
                learner's. A model without one is not trained by its closes.
        Raises:
            DecisionError: the id is open already, or contributions are no shares. CheckpointError: unknown symbol.
            ActionError: a figure or a window is no number, or of another shape. Nothing is changed then.
        """
        if decision_id in self._number:
            raise DecisionError(f"decision '{decision_id}' is open already: give every trade an id of its own")
        raw = self._checked(decision_id, window)
        size = 0.0 if size_frac is None else size_frac
        if not (np.isfinite([equity, position_frac, size]).all() and equity > 0.0 and position_frac >= 0.0 <= size):
            raise ActionError(
                f"decision '{decision_id}': equity {equity}, position {position_frac}, size {size_frac}: equity must be "
                "above 0, shares of equity at least 0, all finite"
            )
        scaler, learner = scaler_of(self._scalers, symbol), self._learner
        weights = None if contributions is None else dict(contributions)
        learner.weights(weights)
        trade = self._trades.add(symbol, scaled(raw, scaler))
        seen = Seen(equity, position_frac, None if size_frac is None else size_frac / learner.limit_frac)
        number = learner.open(trade, seen=seen, contributions=weights)
        self._number[decision_id] = number
        self._known.add(decision_id)
        self._windows.append(raw)
        told = {"symbol": symbol, "equity": equity, "position_frac": position_frac, "size_frac": size_frac}
        self._journal.append({"open": decision_id, **told, "contributions": weights})
        return learner.limit_frac * float(learner.log.record(number).size[0])

    def _checked(self, decision_id: str, window: np.ndarray) -> torch.Tensor:
        raw = torch.as_tensor(np.asarray(window, dtype=np.float32))
        shape = (self._rules.window_bars, len(self._features))
        if tuple(raw.shape) != shape or not bool(raw.isfinite().all()):
            raise ActionError(
                f"decision '{decision_id}': its window must be {shape[0]} bars of {shape[1]} finite features, it is "
                f"{tuple(raw.shape)}{'' if tuple(raw.shape) != shape else ' with a value that is no number'}"
            )
        return raw

    def close(
        self,
        decision_id: str,
        *,
        unit_return: float,
        worst: float,
        hours: float,
        price_return: float | None = None,
        share: float = 1.0,
    ) -> float:
        """Learn from a closed trade, or from a part of one; the reward it paid at the size it was held.

        Args:
            unit_return: net gain of what is closed, per unit of notional. worst: its worst excursion, <= 0. hours: held.
            price_return: before costs, by default the net one; decides what rules.min_move_frac skips.
            share: of the whole position, that is closed now; what all parts weigh adds up to one trade.
        Raises:
            DecisionError: no such decision is open, or less of it than `share`. ActionError: a figure is no finite number.
                Nothing is changed then.
            TrainingError: see ClosedTradeLearner.close; a file saved before is still good.
        """
        number = self._find(decision_id, share)
        moved = unit_return if price_return is None else price_return
        if not np.isfinite([unit_return, moved, worst, hours]).all() or worst > 0.0 or hours < 0.0:
            raise ActionError(
                f"decision '{decision_id}' closed with unit return {unit_return}, worst excursion {worst}, {hours} hours: "
                "they must be finite, worst at most 0 and hours at least 0"
            )
        learner = self._learner
        trade = learner.log.record(number).trade
        self._trades.note(trade, unit_return, share)
        # The last part takes what rounding left of the others.
        quantity = None if share >= learner.log.left(number) - DUST else share
        reward = float(learner.close(number, quantity, result=Result(unit_return, moved, worst, hours))[0])
        if number not in learner.log:
            del self._number[decision_id]
        told = {"unit_return": unit_return, "price_return": moved, "worst": worst, "hours": hours, "share": share}
        self._journal.append({"close": decision_id, **told})
        return reward

    def _find(self, decision_id: str, share: float) -> int:
        if decision_id not in self._number:
            raise DecisionError(
                f"decision '{decision_id}' is not open: it was never taken, or its close has been counted; "
                f"{len(self._number)} are open"
            )
        number = self._number[decision_id]
        left = self._learner.log.left(number)
        if not 0.0 < share <= left + DUST:
            raise DecisionError(
                f"decision '{decision_id}': a share of {share:g} to close, {left:g} of the position is open: give the "
                "share of the whole position that this part closes, above 0"
            )
        return number

    def save(self, folder: str | Path) -> None:
        """Write the journal into `folder` (made if missing), whole or not at all, and then the policy beside it."""
        folder, shape = Path(folder), (0, self._rules.window_bars, len(self._features))
        windows = torch.stack(self._windows) if self._windows else torch.zeros(shape)
        said = {
            "format": FORMAT,
            "kind": self._kind,
            "rules": self._rules.model_dump(mode="json"),
            "account": self._account.model_dump(),
            "features": self._features,
            "scalers": {symbol: scaler.to_json() for symbol, scaler in self._scalers.items()},
            "seed": self._seed,
            "events": self._journal,
        }
        metadata = {"journal": json.dumps(said, allow_nan=False)}
        write_atomically(folder / FILE, lambda path: save_file({"windows": windows}, path, metadata))
        save_closed_trades(self.policy, folder)

    def tell(self, events: Sequence[Mapping[str, Any]], windows: torch.Tensor) -> None:
        """Learn a journal's events, oldest first; windows: float32 [opens, window_bars, features]."""
        opened = iter(windows.numpy())
        for event in events:
            values = {name: value for name, value in event.items() if name not in ("open", "close", "symbol")}
            if "open" in event:
                self.open(event["open"], event["symbol"], next(opened), **values)
            else:
                self.close(event["close"], **values)


def load_own_trades(folder: str | Path) -> OwnTradeLearner:
    """Learn again what `OwnTradeLearner.save` wrote.

    Raises:
        DataMissingError: the file is missing. CheckpointError: it is cut, damaged, or of another format.
    """
    path = Path(folder) / FILE
    name = f"journal '{path.parent.name}'"
    require(path, "save a learner there first", home=path.parent.name)
    with reading(name, FILE, "put its last whole copy back, or learn from the log again"):
        with safe_open(path, framework="pt") as file:
            said, windows = json.loads(file.metadata()["journal"]), file.get_tensor("windows")
        if said["format"] != FORMAT:
            raise CheckpointError(
                f"{name} has format {said['format']}, this code reads {FORMAT}: learn from the log again"
            )
        scalers = {symbol: Scaler.from_json(values) for symbol, values in said["scalers"].items()}
        rules, account = ClosedTrades.model_validate(said["rules"]), Account(**said["account"])
        learner = OwnTradeLearner(
            said["kind"], rules, account, tuple(scalers), said["features"], scalers=scalers, seed=said["seed"]
        )
        learner.tell(said["events"], windows)
    return learner
