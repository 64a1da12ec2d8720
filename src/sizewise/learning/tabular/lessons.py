"""What a table learns from: the trades of train slices, the states they are decided in, and the order of time.

A decision is taken at each entry of the signal. Its result is known once the exit has filled and counts for decisions
taken from then on; until then it stays open, with the state and the action it was taken in. Trades of several symbols
overlap, so several decisions are open at once. Each symbol is an account of its own, as in the walk-forward.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
import pandas as pd
import torch

from sizewise.base.errors import ConfigError
from sizewise.dataset.market_tensor import Market, fold_confidence
from sizewise.dataset.splits import Fold
from sizewise.learning.tabular.cells import (
    N_STATES,
    SHAPE,
    Exposure,
    Results,
    confidence_of,
    exposure_of,
    performance_of,
    recent_wins,
    size_limit,
    state_of,
)
from sizewise.learning.tabular.marks import Marks, joined, marks_of
from sizewise.params.learning.tabular import Tabular
from sizewise.sizing.opportunities import Opportunities, find_opportunities

Kind = Literal["bandit", "q_table"]
# The event of a lane that has ended and waits for the others.
NOTHING = np.iinfo(np.int64).min
# Events from here down to it are marks: the first one is MARKED, the next MARKED - 1.
MARKED = NOTHING // 2
# States of one regime.
REGIME_STATES = N_STATES // SHAPE[0]
# States that differ in exposure alone lie this far apart.
STRIDE = SHAPE[3]
SMALLEST_SHARE = 1e-9


@dataclass(frozen=True)
class Lesson:
    """The trades of one or more folds: ordered by fold, then by entry. Arrays of trades are (N,).

    Attributes:
        idle_state: state of each decision, had the account held nothing. limit: largest size, share of equity.
        previous: trade that still stands as this one is decided (its exit is this entry), -1 if none.
        moved: close at the decision over the close at that of `previous`. following: the account's next trade, or -1.
        known: UTC nanoseconds from which the result is known. progress: share of the lane's trades that lie before.
        practice: the same of those trades alone that the agent of this one decides, see Tabular.agents.
        events: int64 [E, L], in each lane's order of time: trade i is opened (i), learned from (~i), mark i is learned from
            (MARKED - i), or NOTHING. marks: of trades that are on; none where a table waits for their close.
        fold_of_trade, fold_of_lane: numbers 0.. of the joined lessons.
    """

    trades: Opportunities
    idle_state: np.ndarray
    limit: np.ndarray
    previous: np.ndarray
    moved: np.ndarray
    following: np.ndarray
    known: np.ndarray
    progress: np.ndarray
    practice: np.ndarray
    marks: Marks
    events: np.ndarray
    fold_of_trade: np.ndarray
    fold_of_lane: np.ndarray

    def __len__(self) -> int:
        return len(self.trades)

    @property
    def n_learned(self) -> int:
        """Results learned from in one pass."""
        return int(((self.events < 0) & (self.events > MARKED)).sum())

    def results(self, index: np.ndarray) -> Results:
        """Of those trades, per unit of notional, with a last axis for actions."""
        return Results(*(getattr(self.trades, name)[index, None] for name in Results._fields))

    def states(self, trade: np.ndarray, held: np.ndarray, rules: Tabular, limit_frac: float) -> np.ndarray:
        """State of each decision, given the size its account's trade before was opened with; arrays that broadcast.

        That position is marked at the decision, before costs; `held` counts only where it still stands.
        """
        before = self.previous[trade]
        share = np.where(before >= 0, _marked(self.trades.side[before], held, self.moved[trade]) / limit_frac, 0.0)
        return self.idle_state[trade] + STRIDE * exposure_of(share, rules)

    def marked_states(self, mark: np.ndarray, held: np.ndarray, rules: Tabular, limit_frac: float) -> np.ndarray:
        """State in which each mark's account would decide then, holding the trade it opened with `held`; see `states`."""
        share = _marked(self.marks.side[mark], held, self.marks.moved[mark]) / limit_frac
        return self.marks.idle_state[mark] + STRIDE * exposure_of(share, rules)


def _marked(side: np.ndarray, held: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """|position| over equity of a position that was `held` before the price moved."""
    return held * moved / np.maximum(1.0 + side * held * (moved - 1.0), SMALLEST_SHARE)


# Train decisions below each edge of the confidence bins, where a table has bins of its own.
FIFTHS = (0.2, 0.4, 0.6, 0.8)


def with_quantile_bins(market: Market, fold: Fold, rules: Tabular) -> Tabular:
    """The rules with confidence bins that part the decisions of the fold's train slice into fifths.

    Equal confidences share a bin: bins between equal edges stay empty.

    Raises:
        ConfigError: the slice holds no finished trade.
    """
    rows = find_opportunities(market, fold.train).entry_row
    if not len(rows):
        raise ConfigError(_too_few(fold, 0, rules))
    edges = np.quantile(fold_confidence(market, fold).numpy()[rows].astype(np.float64), FIFTHS)
    for place in range(1, len(edges)):
        edges[place] = max(edges[place], np.nextafter(edges[place - 1], np.inf))
    return rules.model_copy(update={"confidence_edges": tuple(edges.tolist())})


def _too_few(fold: Fold, count: int, rules: Tabular) -> str:
    whose = f"fold {fold.number}" + (f", {next(iter(fold.train))}" if len(fold.train) == 1 else "")
    return (
        f"{whose}: {count} finished trades for {rules.accounts} accounts: lower tabular.accounts or give the fold more "
        "train bars"
    )


def prepare(market: Market, fold: Fold, kind: Kind, rules: Tabular, limit_frac: float) -> Lesson:
    """The lesson of one fold's train slice, which is read and nothing after it.

    Args:
        market: float64, on the CPU. limit_frac: largest position, share of equity.
    Raises:
        ConfigError: the slice holds no finished trade, or fewer than there are accounts.
    """
    trades = find_opportunities(market, fold.train)
    count = len(trades)
    if count < rules.accounts:
        raise ConfigError(_too_few(fold, count, rules))
    lane = np.arange(count) * rules.accounts // max(count, 1)
    agent = trades.regime.astype(np.int64) if rules.agents == "regime" else np.zeros(count, dtype=np.int64)
    previous, following = _neighbours(trades, lane, agent)
    close = market.close.numpy()[trades.entry_row]
    times = market.times.asi8
    known = times[trades.exit_row + 1]
    every = fold_confidence(market, fold).numpy()
    confidence = every[trades.entry_row]
    first = np.searchsorted(lane, lane)
    progress = (np.arange(count) - first) / np.bincount(lane)[lane]
    marks = marks_of(market, trades, every, rules) if rules.mark_weight > 0.0 else Marks.none()
    return Lesson(
        trades=trades,
        idle_state=state_of(
            trades.regime,
            confidence_of(confidence, rules),
            Exposure.LIGHT,
            performance_of(*_wins(trades, rules), rules),
        ),
        limit=size_limit(_atr(market.atr_frac, trades.entry_row), rules, limit_frac),
        previous=previous,
        moved=np.where(previous >= 0, close / close[previous], 1.0),
        following=following,
        known=known,
        progress=progress,
        practice=_practice(lane, agent) if rules.agents == "regime" else progress,
        marks=marks,
        events=_events(times[trades.entry_row], known, following, lane, marks, bootstrap=kind == "q_table"),
        fold_of_trade=np.zeros(count, dtype=np.int64),
        fold_of_lane=np.zeros(rules.accounts, dtype=np.int64),
    )


def _atr(atr_frac: torch.Tensor, rows: np.ndarray) -> np.ndarray:
    return atr_frac.numpy()[rows].astype(np.float64)


def _wins(trades: Opportunities, rules: Tabular) -> tuple[np.ndarray, np.ndarray]:
    """(winners, trades) among those that each decision's account closed last; a trade wins if it gains net of costs."""
    won, closed = np.zeros(len(trades), dtype=np.int64), np.zeros(len(trades), dtype=np.int64)
    for number in np.unique(trades.symbol):
        own = np.flatnonzero(trades.symbol == number)
        gained = trades.unit_return[own] > 0.0
        won[own], closed[own] = recent_wins(trades.exit_row[own] + 1, gained, trades.entry_row[own], rules.win_window)
    return won, closed


def _practice(lane: np.ndarray, agent: np.ndarray) -> np.ndarray:
    """Share of an agent's trades of a lane that lie before each of them."""
    own = pd.Series(agent).groupby([lane, agent])
    return (own.cumcount() / own.transform("size")).to_numpy()


def _neighbours(trades: Opportunities, lane: np.ndarray, agent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(trade that still stands at the decision, the agent's next trade) of the same account; -1 where there is none."""
    previous, following = np.full(len(trades), -1), np.full(len(trades), -1)
    before, after = _pairs(trades, lane, np.zeros_like(agent))
    turns = trades.exit_row[before] == trades.entry_row[after]
    previous[after[turns]] = before[turns]
    before, after = _pairs(trades, lane, agent)
    following[before] = after
    return previous, following


def _pairs(trades: Opportunities, lane: np.ndarray, agent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(trade, the next one) of each account and agent within a lane."""
    order = np.lexsort((trades.entry_row, agent, trades.symbol))
    before, after = order[:-1], order[1:]
    same = (
        (trades.symbol[before] == trades.symbol[after])
        & (lane[before] == lane[after])
        & (agent[before] == agent[after])
    )
    return before[same], after[same]


def _events(
    opened: np.ndarray, known: np.ndarray, following: np.ndarray, lane: np.ndarray, marks: Marks, *, bootstrap: bool
) -> np.ndarray:
    """The schedule of every lane, [E, L].

    A result known as a bar starts counts for the decision at that bar's close. Bootstrapping waits for the account's next
    decision as well, and leaves its last trade out: what follows it is not known. Marks come last at their time.
    """
    trade = np.arange(len(opened))
    learned = trade[following >= 0] if bootstrap else trade
    when = np.maximum(known, opened[following])[learned] if bootstrap else known
    # At one time, results that are known come first, then decisions, then results that waited for a decision.
    kind = np.concatenate([np.ones(len(trade)), np.full(len(learned), 2 if bootstrap else 0), np.full(len(marks), 3)])
    lanes = np.concatenate([lane, lane[learned], lane[marks.trade]])
    code = np.concatenate([trade, ~learned, MARKED - np.arange(len(marks))])
    of = np.concatenate([trade, learned, marks.trade])
    order = np.lexsort((of, kind, np.concatenate([opened, when, marks.times]), lanes))
    lanes, code = lanes[order], code[order]
    place = np.arange(len(code)) - np.searchsorted(lanes, lanes)
    events = np.full((place.max(initial=-1) + 1, lane.max(initial=-1) + 1), NOTHING)
    events[place, lanes] = code
    return events


def join(lessons: Sequence[Lesson]) -> Lesson:
    """Lessons of several folds side by side; each keeps its own tables."""
    offsets = np.cumsum([0, *(len(lesson) for lesson in lessons)])
    marked = np.cumsum([0, *(len(lesson.marks) for lesson in lessons)])
    longest = max(len(lesson.events) for lesson in lessons)

    def shifted(name: str) -> np.ndarray:
        moved = [
            np.where(getattr(lesson, name) >= 0, getattr(lesson, name) + offset, -1)
            for lesson, offset in zip(lessons, offsets, strict=False)
        ]
        return np.concatenate(moved)

    def schedule(lesson: Lesson, offset: int, mark: int) -> np.ndarray:
        events = np.full((longest, lesson.events.shape[1]), NOTHING)
        part = lesson.events
        # ~(i + offset) is ~i - offset.
        learned = np.where(part > MARKED, part - offset, part - mark)
        events[: len(part)] = np.where(part == NOTHING, NOTHING, np.where(part >= 0, part + offset, learned))
        return events

    def numbers(name: str) -> np.ndarray:
        return np.concatenate([getattr(lesson, name) + fold for fold, lesson in enumerate(lessons)])

    plain = {
        name: np.concatenate([getattr(lesson, name) for lesson in lessons])
        for name in ("idle_state", "limit", "moved", "known", "progress", "practice")
    }
    return Lesson(
        trades=Opportunities(
            *(
                np.concatenate([getattr(lesson.trades, field.name) for lesson in lessons])
                for field in fields(Opportunities)
            )
        ),
        previous=shifted("previous"),
        following=shifted("following"),
        events=np.concatenate(
            [
                schedule(lesson, int(offset), int(mark))
                for lesson, offset, mark in zip(lessons, offsets, marked, strict=False)
            ],
            axis=1,
        ),
        marks=joined([lesson.marks for lesson in lessons], offsets),
        fold_of_trade=numbers("fold_of_trade"),
        fold_of_lane=numbers("fold_of_lane"),
        **plain,
    )
