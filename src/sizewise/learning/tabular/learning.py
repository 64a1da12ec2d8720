"""The sizing table as an arm: a contextual bandit, or Q-learning that bootstraps from the account's next trade.

Tables of many folds and seeds are learned side by side, each from its own trades in the order of time and from its own
draws, so that a table does not depend on which others are learned with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sizewise.base.seeding import numpy_generator
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Fold
from sizewise.learning.tabular.cells import N_STATES, STATE_NAMES, action_names, sizes
from sizewise.learning.tabular.lessons import Kind, join, prepare, with_quantile_bins
from sizewise.learning.tabular.updates import Draws, TableStudy
from sizewise.params.learning.tabular import Tabular
from sizewise.params.trading.account import Account
from sizewise.sizing.identifiability import check_identifiable, trade_probe
from sizewise.sizing.opportunities import find_opportunities
from sizewise.trading.schemes.values import position_limit_frac

# Learning phases of the reference design: their last trades, and beyond.
PHASE_ENDS = (50, 200, 500)
PHASES = ("1-50", "51-200", "201-500", "500+")
# What the identifiability gate calls each reward.
PROBES = {"log_growth": "trade_log_growth", "outcome": "outcome", "return_on_notional": "return_on_notional"}
# Trades a point of the learning curve is over, once the phases are past.
CURVE_TRADES = 500


def best_tried(values: np.ndarray, visits: np.ndarray) -> np.ndarray:
    """Best action of values and visits [..., 25], int64 [...].

    Only what was tried counts, the first among equals; a state never met takes action 0, the smallest order.
    """
    return np.where(visits > 0, values, -np.inf).argmax(axis=-1)


class OpenDecision(NamedTuple):
    """A decision whose trade is not closed yet.

    Attributes:
        size_frac: of its action; limit: the largest it could have been; equity: the account's, quote currency.
        left: share of the position that is still open. following: state of the account's next decision, once it is taken.
    """

    account: str
    state: int
    action: int
    size_frac: float
    limit: float
    equity: float
    left: float = 1.0
    following: int | None = None


class Waiting(NamedTuple):
    """A closed trade, or `share` of one, whose update waits for the account's next state."""

    state: int
    action: int
    reward: float
    share: float = 1.0


@dataclass(frozen=True)
class Table:
    """One learned table.

    Attributes:
        kind: `bandit` or `q_table`. limit_frac: largest position it was trained with, share of equity.
        values: float64 [300, 25], in the reward's unit, 0 where never updated. visits: float64 [300, 25], trades that
            updated it, parts by their share.
        updates: results it has learned from. outcomes: the latest of them, oldest first.
        origin: arm, scheme, fold and seed; the symbol too, of a table that knows one alone.
        open: decisions of live accounts by id. waiting: by account; see sizer.TableAgent.
    """

    kind: Kind
    rules: Tabular
    limit_frac: float
    values: np.ndarray
    visits: np.ndarray
    updates: int = 0
    outcomes: tuple[Mapping[str, Any], ...] = ()
    origin: Mapping[str, Any] = field(default_factory=dict)
    open: Mapping[str, OpenDecision] = field(default_factory=dict)
    waiting: Mapping[str, tuple[Waiting, ...]] = field(default_factory=dict)

    def greedy(self) -> np.ndarray:
        """Action of each state once it is no longer learning, int64 [300]; see `best_tried`."""
        return best_tried(self.values, self.visits)


class Learned(NamedTuple):
    """Tables by fold (and symbol, where each has its own), then seed, and how they were learned.

    history: one row a table and stretch of trades, columns scheme, fold, seed, trade (count at the stretch's end, over all
    passes), trades (in it), phase, growth_bps (mean log growth a trade), even_growth_bps (had each size been drawn evenly),
    size_pct (of the position limit), explored_pct, spread and error (see TableStudy, means, in the reward's unit),
    win_rate_pct.
    """

    tables: tuple[Table, ...]
    history: pd.DataFrame


def blank(kind: Kind, rules: Tabular, limit_frac: float, **origin: object) -> Table:
    """A table that has learned nothing."""
    shape = (N_STATES, len(action_names(rules)))
    return Table(kind, rules, limit_frac, np.zeros(shape), np.zeros(shape), origin=origin)


def train_tables(
    market: Market,
    folds: Sequence[Fold],
    seeds: Sequence[int],
    kind: Kind,
    rules: Tabular,
    account: Account,
    *,
    arm: str | None = None,
    limit_frac: float | None = None,
    quantile_bins: bool = False,
    per_symbol: bool = False,
) -> Learned:
    """Learn one table a fold and seed (and symbol) from the fold's train slice, all of them side by side.

    Orders are shares of the account's initial equity, capped like every other arm's.

    Args:
        market: float64, on the CPU. arm: name for the tables' origin, by default the kind.
        limit_frac: another position limit than the account's, for planted markets whose optimum lies beyond it.
        quantile_bins: fit each table's confidence bins to its own train decisions; see lessons.with_quantile_bins.
        per_symbol: one table a symbol of the train slice, each from its symbol's trades alone; a symbol that finished fewer
            than there are accounts has the table that the trades of all symbols teach.
    Raises:
        ConfigError: the reward is blind to size and rules.accept_size_blind is not set, or a fold has too few trades.
    """
    limit = position_limit_frac(account) if limit_frac is None else limit_frac
    if not rules.accept_size_blind:
        every = sizes(rules, account.initial_equity, limit)
        check_identifiable(trade_probe(PROBES[rules.reward]), (rules.risk_price * every).tolist())
    taught = [
        part for fold in folds for part in (_by_symbol(market, fold, rules.accounts) if per_symbol else [(fold, None)])
    ]
    parts = [part for part, _ in taught]
    binned = [with_quantile_bins(market, part, rules) if quantile_bins else rules for part in parts]
    lessons = [prepare(market, part, kind, own, limit) for part, own in zip(parts, binned, strict=True)]
    study = TableStudy(join(lessons), kind, rules, limit, account.initial_equity, len(seeds))
    origins = [_origin(arm or kind, part, symbol) for part, symbol in taught]
    generators = [
        [
            numpy_generator(kind, part.scheme, part.number, seed, *([symbol] if symbol else []))
            for part, symbol in taught
        ]
        for seed in seeds
    ]
    n_actions = len(action_names(rules))
    history = []
    for number in range(rules.passes):
        draws = [
            [Draws.make(rng, len(lesson), n_actions) for rng, lesson in zip(row, lessons, strict=True)]
            for row in generators
        ]
        study.go_through(draws, number)
        history += _curve(study, parts, seeds, number)
    tables = [
        Table(
            kind,
            own,
            limit,
            *study.table(f, s),
            updates=rules.passes * lesson.n_learned,
            outcomes=_outcomes(study, f, s, market),
            origin={**origin, "seed": seed},
        )
        for f, (origin, own, lesson) in enumerate(zip(origins, binned, lessons, strict=True))
        for s, seed in enumerate(seeds)
    ]
    return Learned(tuple(tables), pd.DataFrame(history))


def _by_symbol(market: Market, fold: Fold, accounts: int) -> list[tuple[Fold, str | None]]:
    """What teaches each symbol's table, and the symbol."""
    alone = [replace(fold, train={symbol: part}) for symbol, part in fold.train.items()]
    enough = [len(find_opportunities(market, own.train)) >= max(accounts, 1) for own in alone]
    return [(own if known else fold, symbol) for own, known, symbol in zip(alone, enough, fold.train, strict=True)]


def _origin(arm: str, part: Fold, symbol: str | None) -> dict[str, Any]:
    where = {"arm": arm, "scheme": part.scheme, "fold": part.number}
    return where | ({"symbol": symbol} if symbol else {})


def _curve(study: TableStudy, folds: Sequence[Fold], seeds: Sequence[int], number: int) -> list[dict[str, float | str]]:
    """The history's rows of pass `number`, just gone through."""
    chosen, even = study.growths()
    lesson = study.lesson
    rows: list[dict[str, float | str]] = []
    for f, fold in enumerate(folds):
        own = np.flatnonzero(lesson.fold_of_trade == f)
        # Accounts side by side count together.
        own = own[np.argsort(lesson.progress[own], kind="stable")]
        before, marks = number * len(own), [*PHASE_ENDS, *range(PHASE_ENDS[-1], (number + 1) * len(own), CURVE_TRADES)]
        cuts = sorted({mark - before for mark in marks if 0 < mark - before < len(own)} | {0, len(own)})
        for start, stop in zip(cuts, cuts[1:], strict=False):
            part = own[start:stop]
            size = study.size(part, study.chosen[:, part]) / study.limit_frac
            won = float((lesson.trades.unit_return[part] > 0.0).mean())
            for s, seed in enumerate(seeds):
                rows.append(
                    {
                        "scheme": fold.scheme,
                        "fold": fold.number,
                        "seed": seed,
                        "trade": before + stop,
                        "trades": stop - start,
                        "phase": PHASES[int(np.searchsorted(PHASE_ENDS, before + stop))],
                        "growth_bps": 1e4 * float(chosen[s, part].mean()),
                        "even_growth_bps": 1e4 * float(even[part].mean()),
                        "size_pct": 100.0 * float(size[s].mean()),
                        "explored_pct": 100.0 * float(study.explored[s, part].mean()),
                        "spread": float(study.spread[s, part].mean()),
                        "error": _mean_known(study.error[s, part]),
                        "win_rate_pct": 100.0 * won,
                    }
                )
    return rows


def _mean_known(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _outcomes(study: TableStudy, fold: int, seed: int, market: Market) -> tuple[dict[str, Any], ...]:
    """The latest outcomes of the last pass, in the order in which they became known."""
    lesson, rules = study.lesson, study.rules
    own = np.flatnonzero(lesson.fold_of_trade == fold)
    latest = own[np.argsort(lesson.known[own], kind="stable")][-rules.outcomes_kept :]
    action = study.chosen[seed, latest]
    paid = study.rewards(latest, action)
    trades, names = lesson.trades.pick(latest), action_names(rules)
    opened, known = market.times[trades.entry_row], pd.to_datetime(lesson.known[latest], utc=True)
    return tuple(
        {
            "decision_id": f"{market.symbols[trades.symbol[i]]}@{opened[i]:%Y%m%dT%H%M}",
            "account": market.symbols[trades.symbol[i]],
            "share": 1.0,
            "state_key": STATE_NAMES[study.state[seed, latest[i]]],
            "action_key": names[action[i]],
            "reward": float(paid[i]),
            "pnl_pct": 100.0 * float(trades.unit_return[i]),
            "duration_hours": float(trades.hours[i]),
            "max_drawdown_pct": -100.0 * float(trades.worst[i]),
            "timestamp": f"{known[i]:%Y-%m-%dT%H:%M:%SZ}",
        }
        for i in range(len(latest))
    )
