"""Models that size trades together and learn from a trade when it closes, and at no other time (reference design E).

`open` asks every model for a size and keeps what it saw and proposed, and how much each model contributed to this very
decision, under an id; `close` takes the decision back, or a part of it, remembers the result and makes one update of every
model that contributed, weighted by its contribution and the part's share. S members (seeds) meet the same trades side by
side; each has its own parameters, draws and accounts, one account a symbol.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from sizewise.base.errors import DecisionError, TrainingError
from sizewise.base.seeding import numpy_generator, torch_generator
from sizewise.learning.adam import Adam
from sizewise.learning.closed_trades.lessons import SCALARS, Result, Standing
from sizewise.learning.closed_trades.memory import DecisionLog, Memory
from sizewise.learning.closed_trades.models import (
    Networks,
    Parameters,
    contributions,
    decision_shares,
    earned_contributions,
    flow_inputs,
    gain_logits,
    gain_loss,
    initialise,
    next_values,
    proposals,
    q_inputs,
    size_values,
    td_loss,
    td_targets,
    weighted_size,
)
from sizewise.learning.closed_trades.policy import WHOLE
from sizewise.learning.closed_trades.rewards import CloseRewards, Trades
from sizewise.params.learning.outcome import ClosedTrades, ModelName
from sizewise.params.trading.account import Account
from sizewise.trading.schemes.values import position_limit_frac


class Seen(NamedTuple):
    """The account in which somebody else decided, just before the decision.

    Attributes:
        equity: quote currency, > 0. position_frac: |position| over equity. size: share of the position limit that was
            taken then; None takes what the models propose.
    """

    equity: float
    position_frac: float
    size: float | None = None


# A trade whose account has not decided again since.
NONE_YET = -1


@dataclass(frozen=True)
class Proposal:
    """What is kept from an entry to its close.

    Attributes:
        trade: number in the lessons. scalars: float32 [S, 3], the accounts as seen. chosen: int64 [S, M], each model's
            place in the grid, in the order of the learner's models. contributions: float64 [S, M], of the models to this
            decision. size: [S], share of the limit. equity: [S], at the decision.
    """

    trade: int
    scalars: np.ndarray
    chosen: np.ndarray
    contributions: np.ndarray
    size: np.ndarray
    equity: np.ndarray


@dataclass
class Tally:
    """What has happened since the last row of the history; per member where [S]."""

    closes: int
    updates: int
    reward: np.ndarray
    won: np.ndarray
    sized: np.ndarray
    size: np.ndarray
    loss: dict[ModelName, np.ndarray]
    steps: dict[ModelName, int]

    @classmethod
    def empty(cls, members: int, models: Sequence[ModelName]) -> "Tally":
        reward, won, sized, size = np.zeros((4, members))
        return cls(0, 0, reward, won, sized, size, {m: np.zeros(members) for m in models}, dict.fromkeys(models, 0))


class ClosedTradeLearner:
    """See the module's text.

    Attributes:
        models: those that may contribute. networks: by model, parameters [S, ...]. log: the decisions that are open.
        closes, updates, skipped: so far; a close, or a part of one, is an update unless it was skipped.
        q_updates: updates at which the memory was full enough for the Q-network.
    """

    def __init__(
        self,
        lessons: Trades,
        rules: ClosedTrades,
        kind: str,
        account: Account,
        names: Sequence[str],
        columns: Sequence[int],
    ):
        """Args: names: of the S members, each the root of its own draws. columns: see lessons.flow_columns."""
        self.lessons = lessons
        self.rules = rules
        declared = contributions(kind, rules)
        self.models = tuple(declared)
        self._declared = np.array(list(declared.values()))
        self.account = account
        self.limit_frac = position_limit_frac(account)
        self._sizes = np.array(rules.sizes)
        self._fractions = self.limit_frac * self._sizes
        self._columns = columns
        members, n_features = len(names), lessons.windows.shape[2]
        generators = {model: [torch_generator(name, model, "init") for name in names] for model in self.models}
        self.networks: Networks = initialise(rules, n_features, self.models, generators)
        self._target = {name: value.clone() for name, value in self.networks.get("dqn", {}).items()}
        self._optimisers = {model: Adam(self.networks[model]) for model in self.models}
        self._explore = [numpy_generator(name, "explore") for name in names]
        self._replay = [numpy_generator(name, "replay") for name in names]
        self._member = np.arange(members)[:, None]
        self._rewards = CloseRewards(rules.reward, lessons, self._fractions, members)
        self._memory = Memory(rules.replay, self._fields(members), members)
        self.log: DecisionLog[Proposal] = DecisionLog()
        self.closes = self.updates = self.q_updates = self.skipped = 0
        self._decisions = 0
        self._earned = np.zeros((members, len(self.models)))
        self.tally = Tally.empty(members, self.models)
        self.restart()

    def _fields(self, members: int) -> dict[str, np.ndarray]:
        scalars = np.zeros((members, len(SCALARS)), dtype=np.float32)
        return {
            "decision": np.zeros((), dtype=np.int64),
            "trade": np.zeros((), dtype=np.int64),
            "unit": np.zeros((), dtype=np.float32),
            "move": np.zeros((), dtype=np.float32),
            "rose": np.zeros(self.lessons.rose.shape[1], dtype=np.float32),
            "scalars": scalars,
            "next_trade": np.zeros((), dtype=np.int64),
            "next_scalars": scalars,
            "rewards": np.zeros((members, len(self._sizes)), dtype=np.float32),
            "chosen": np.zeros((members, len(self.models)), dtype=np.int64),
            "weight": np.zeros((members, len(self.models)), dtype=np.float32),
        }

    def restart(self) -> None:
        """New accounts; what was learned and remembered stays.

        Raises:
            DecisionError: decisions are open, whose results would be lost.
        """
        if len(self.log):
            raise DecisionError(f"{len(self.log)} decisions are open: close them before the accounts start again")
        shape = (len(self._member), len(self.lessons.symbols))
        self._standing = Standing(shape, self.account.initial_equity, self.rules.win_window)
        self._rewards.restart()
        self._equity = np.full(shape, self.account.initial_equity)
        self._latest: dict[int, int] = {}
        self._gained: dict[int, float] = {}
        self._followed: dict[int, tuple[int, np.ndarray]] = {}
        self._waiting: dict[int, list[int]] = {}

    def progress(self) -> float:
        """Share of the closes of all passes that have been; 1 where nobody knows how many come."""
        planned = self.lessons.planned * self.rules.passes
        return min(1.0, self.closes / planned) if planned else 1.0

    def contributions(self) -> np.ndarray:
        """Of each model in general, now, float64 [S, M], see models.earned_contributions; a signal's own may differ."""
        return earned_contributions(self._declared, self._earned, self.rules.contribution_rate)

    def exploration(self) -> float:
        """Share of proposals that are drawn at random now."""
        first, last = self.rules.exploration, self.rules.final_exploration
        return first + (last - first) * self.progress()

    def open(
        self,
        trade: int,
        *,
        quantity: float = 1.0,
        seen: Seen | None = None,
        contributions: Mapping[ModelName, float] | None = None,
    ) -> int:
        """Propose a size for an entry; returns the decision's id.

        Args:
            seen: the account, if it is not the learner's own to keep. contributions: of the models to this decision, by
                default `contributions()` as the models' certainty of it moves them; their sum may be below 1, if something
                else decided with them.
        Raises:
            DecisionError: contributions of unknown models, or that are no shares. Nothing is changed then.
        """
        general = self.weights(contributions)
        symbol = self.lessons.symbol_of(trade)
        equity, position = self._marked(symbol) if seen is None else self._of_others(seen)
        scalars = self._standing.scalars((slice(None), symbol), position, equity, self.limit_frac)
        chosen, certain = self._propose(trade, scalars)
        weights = certain if contributions is None else general
        self._explored(chosen)
        size = self._size(chosen, weights)
        if seen is not None and seen.size is not None:
            size = np.full_like(size, seen.size)
        self._decisions += 1
        decision = self._decisions
        self.log.register(decision, Proposal(trade, scalars, chosen, weights, size, equity), quantity)
        self._follow(self._latest.get(symbol), trade, scalars)
        self._latest[symbol] = decision
        return decision

    def weights(self, contributions: Mapping[ModelName, float] | None) -> np.ndarray:
        """Those that somebody gave to one decision, float64 [S, M], or `contributions()`; raises what `open` does."""
        if contributions is None:
            return self.contributions()
        unknown = [name for name in contributions if name not in self.models]
        if unknown:
            raise DecisionError(f"'{unknown[0]}' does not contribute here: the models are {', '.join(self.models)}")
        shares = np.array([contributions.get(model, 0.0) for model in self.models], dtype=np.float64)
        if not ((shares >= 0.0).all() and 0.0 < shares.sum() <= 1.0 + WHOLE):
            told = ", ".join(f"{name} {share:g}" for name, share in contributions.items())
            raise DecisionError(
                f"contributions {told}: give shares of at least 0 that sum to more than 0 and at most 1"
            )
        return np.tile(shares, (len(self._member), 1))

    def _of_others(self, seen: Seen) -> tuple[np.ndarray, np.ndarray]:
        equity = np.full(len(self._member), seen.equity)
        return equity, np.full_like(equity, seen.position_frac)

    def _explored(self, chosen: np.ndarray) -> None:
        rate = self.exploration()
        for member, stream in enumerate(self._explore):
            drawn = stream.random(2 * len(self.models)).reshape(2, -1)
            anything = (drawn[1] * len(self._sizes)).astype(np.int64)
            chosen[member] = np.where(drawn[0] < rate, anything, chosen[member])

    def _size(self, chosen: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Share of the limit that the models propose together, [S]: a mean by contribution, whatever those sum to."""
        whole = weights.sum(axis=1, keepdims=True)
        shares = np.where(np.abs(whole - 1.0) <= WHOLE, weights, weights / whole)
        places = {model: torch.from_numpy(chosen[:, place]) for place, model in enumerate(self.models)}
        mine = {model: torch.from_numpy(shares[:, place]) for place, model in enumerate(self.models)}
        return weighted_size(places, mine, self.rules).numpy()

    def _marked(self, symbol: int) -> tuple[np.ndarray, np.ndarray]:
        """Equity and |position| / equity of an account's members at a new entry; the last trade may still be on.

        A turn is decided before the trade it ends has filled its exit, so that trade is marked at the close.
        """
        equity, before = self._equity[:, symbol], self._latest.get(symbol)
        if before is None or before not in self.log:
            return equity.copy(), np.zeros_like(equity)
        held = self.log.record(before)
        notional = held.size * self.limit_frac * held.equity * self.log.left(before)
        marked = equity + notional * self.lessons.marked[held.trade]
        return marked, notional * self.lessons.drift[held.trade] / marked

    def _propose(self, trade: int, scalars: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places in the grid, int64 [S, M], and each model's share in this decision, float64 [S, M]."""
        members = len(self._member)
        windows = self.lessons.windows[trade].expand(members, 1, -1, -1)
        with torch.no_grad():
            found = proposals(
                self.networks,
                windows,
                torch.from_numpy(scalars).unsqueeze(1),
                self._typical_move(trade),
                self._columns,
                self.rules,
                self.limit_frac,
            )
        places = torch.cat([found[model].place for model in self.models], dim=1).numpy().copy()
        general = torch.from_numpy(self.contributions())
        shares = decision_shares(
            found,
            {model: general[:, [place]] for place, model in enumerate(self.models)},
            self.rules.contribution_certainty,
        )
        return places, torch.cat([torch.as_tensor(shares[model]) for model in self.models], dim=1).numpy()

    def _typical_move(self, trade: int) -> torch.Tensor:
        return torch.from_numpy(self.lessons.typical_move[[self.lessons.symbol_of(trade)]]).float()

    def _follow(self, before: int | None, trade: int, scalars: np.ndarray) -> None:
        """Tell the account's last decision what came after it: its Q-target looks ahead to there."""
        if before is None:
            return
        for slot in self._waiting.pop(before, []):
            if self._memory.stored["decision"][slot] == before:
                self._memory.stored["next_trade"][slot] = trade
                self._memory.stored["next_scalars"][slot] = scalars
        if before in self.log:
            self._followed[before] = (trade, scalars)

    def close(self, decision: int, quantity: float | None = None, *, result: Result | None = None) -> np.ndarray:
        """Close `quantity` of a decision, default all that is left, and learn from it.

        A part counts by its share, in the account as in the update. A trade gained if all of its parts did together.

        Args:
            result: of what is closed, by default the trade's from entry to exit.
        Returns:
            what the size held earned, [S], as configured, not scaled.
        Raises:
            DecisionError: unknown decision, or more than is open; nothing is changed.
            TrainingError: a loss or gradient is not finite or explodes; that update is not made, so that all parameters
                stay good ones.
        """
        closed = self.log.close(decision, quantity)
        held, trade = closed.record, closed.record.trade
        done = self.lessons.result(trade) if result is None else result
        symbol, unit = self.lessons.symbol_of(trade), done.unit_return
        whole = self._gained.pop(decision, 0.0) + closed.share * unit
        taken = self.limit_frac * held.size
        self._equity[:, symbol] += closed.share * taken * unit * held.equity
        rewards, own = self._rewards.of_close(trade, taken, done, whole=whole, last=closed.last)
        sized = taken > 0.0
        if closed.last:
            self._standing.record((slice(None), symbol), whole > 0.0, sized)
        else:
            self._gained[decision] = whole
        self.closes += 1
        self._count(closed.share * own, sized & (unit > 0.0), sized, held.size)
        scaled = rewards / self._rewards.scale(trade)
        self._earned += closed.share * np.take_along_axis(scaled, held.chosen, axis=1)
        following = self._followed.pop(decision, None) if closed.last else self._followed.get(decision)
        if abs(done.price_return) < self.rules.min_move_frac:
            self.skipped += 1
            return own
        slot = self._memory.add(
            {
                "decision": np.int64(decision),
                "trade": np.int64(trade),
                "unit": np.float32(unit),
                "move": np.float32(self.lessons.typical_move[symbol]),
                "rose": self.lessons.rose[trade],
                "scalars": held.scalars,
                "next_trade": np.int64(NONE_YET if following is None else following[0]),
                "next_scalars": np.zeros_like(held.scalars) if following is None else following[1],
                "rewards": scaled.astype(np.float32),
                "chosen": held.chosen,
                "weight": closed.share * held.contributions.astype(np.float32),
            }
        )
        if following is None:
            self._waiting.setdefault(decision, []).append(slot)
        self._learn(slot)
        return own

    def _count(self, reward: np.ndarray, won: np.ndarray, sized: np.ndarray, size: np.ndarray) -> None:
        tally = self.tally
        tally.closes += 1
        tally.reward += reward
        tally.won += won
        tally.sized += sized
        tally.size += size

    def _learn(self, slot: int) -> None:
        """One update of every model that contributed: each trade of the batch counts by its contribution and share, and the
        step is as long as those of the trade that closed."""
        memory, rules = self._memory, self.rules
        beta = rules.replay.beta + (1.0 - rules.replay.beta) * self.progress()
        slots, importance = memory.sample(slot, self._replay, beta)
        stored = memory.stored
        trades = torch.from_numpy(stored["trade"][slots])
        windows = self.lessons.windows[trades]
        rewards = torch.from_numpy(stored["rewards"][slots, self._member])
        chosen = torch.from_numpy(stored["chosen"][slots, self._member])
        weights = stored["weight"][slots, self._member]
        # Relative to the batch's mean: what a weight is in all, the step carries, because Adam forgets the scale of a loss.
        # A model that did not contribute to this trade is not trained, so that no mean that matters is 0.
        mean = np.maximum(weights.mean(axis=1, keepdims=True), np.finfo(np.float32).tiny)
        relative = torch.from_numpy(weights / mean * importance[:, :, None])
        own = stored["weight"][slot]
        self.updates += 1
        self.tally.updates += 1
        for place, model in enumerate(self.models):
            if not own[:, place].any() or (model == "dqn" and not memory.ready):
                continue
            weight = relative[:, :, place]
            parameters = {name: value.requires_grad_() for name, value in self.networks[model].items()}
            if model == "cnn":
                unit, move, rose = (torch.from_numpy(stored[name][slots]) for name in ("unit", "move", "rose"))
                loss = gain_loss(gain_logits(parameters, windows), unit, move, rose, weight)
            elif model == "order_flow":
                values = size_values(parameters, flow_inputs(windows, self._columns, rules.flow_window_bars))
                loss, _ = td_loss(values, rewards, chosen[:, :, place], weight, every_size=rules.every_size)
            else:
                loss, errors = self._q_loss(parameters, windows, slots, rewards, chosen[:, :, place], weight)
                memory.reprioritise(slots, errors.numpy())
            self._step(model, parameters, loss, torch.from_numpy(own[:, place].copy()))

    def _q_loss(
        self,
        parameters: Parameters,
        windows: torch.Tensor,
        slots: np.ndarray,
        rewards: torch.Tensor,
        chosen: torch.Tensor,
        weight: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        rules, stored = self.rules, self._memory.stored
        if self.q_updates % rules.target_every == 0:
            self._target = {name: value.detach().clone() for name, value in parameters.items()}
        self.q_updates += 1
        targets = rewards
        if rules.gamma > 0.0:
            trades = stored["next_trade"][slots]
            scalars = torch.from_numpy(stored["next_scalars"][slots, self._member])
            # The row of a trade that has no successor is gathered as well, and masked.
            last_bars = self.lessons.windows[torch.from_numpy(np.maximum(trades, 0)), -1:]
            following = next_values(parameters, self._target, q_inputs(last_bars, scalars), double=rules.double)
            targets = td_targets(rewards, following, torch.from_numpy(trades != NONE_YET), rules.gamma)
        inputs = q_inputs(windows, torch.from_numpy(stored["scalars"][slots, self._member]))
        return td_loss(size_values(parameters, inputs), targets, chosen, weight, every_size=rules.every_size)

    def _step(self, model: ModelName, parameters: Parameters, loss: torch.Tensor, weight: torch.Tensor) -> None:
        gradients = dict(zip(parameters, torch.autograd.grad(loss.sum(), list(parameters.values())), strict=True))
        for value in parameters.values():
            value.requires_grad_(False)
        rate = self.rules.learning_rate * weight
        active = weight > 0.0
        norm = self._optimisers[model].step(
            parameters, gradients, rate, self.rules.max_grad_norm, active, self.rules.exploding_norm
        )
        for statistic, values, limit in (
            ("loss", loss.detach(), torch.inf),
            ("gradient norm", norm, self.rules.exploding_norm),
        ):
            bad = ~(values.isfinite() & (values <= limit))
            if bad.any():
                raise TrainingError(
                    f"{statistic} of {model} is {float(values[bad][0]):g} at close {self.closes}: lower "
                    "outcome.learning_rate, or mend what it learns from"
                )
        self.tally.loss[model] += loss.detach().numpy()
        self.tally.steps[model] += 1
