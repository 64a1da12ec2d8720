"""The batched tables against a plain loop over dictionaries, one table and one trade at a time."""

from collections import defaultdict
from dataclasses import replace
from math import log1p

import numpy as np
import pandas as pd
import pytest
import torch

from sizewise.base.seeding import numpy_generator
from sizewise.dataset.confidence import confidence_column
from sizewise.dataset.market_tensor import fold_confidence
from sizewise.dataset.splits import Fold, Slice
from sizewise.learning.tabular.learning import train_tables
from sizewise.learning.tabular.marks import Marks, marks_of
from sizewise.learning.tabular.updates import Draws
from sizewise.params.learning.tabular import Tabular
from sizewise.params.trading.account import Account
from sizewise.sizing.opportunities import find_opportunities

from ..hand_market import make_market

LIMIT = 0.2


def bin_number(value, edges):
    number = 0
    for edge in edges:
        number += value >= edge
    return number


class PlainTable:
    """The specification: states as tuples, cells as dictionary entries."""

    def __init__(self, market, fold, kind, rules, seed):
        self.kind, self.rules = kind, rules
        self.trades = find_opportunities(market, fold.train)
        self.confidence = fold_confidence(market, fold).numpy()
        self.close, self.atr, self.times = market.close.numpy(), market.atr_frac.numpy(), market.times.asi8
        self.rng = numpy_generator(kind, fold.scheme, fold.number, seed)
        self.orders = [
            (min(max(rules.base_quote * size, rules.min_quote), rules.max_quote) * leverage / 1000.0, leverage)
            for size in rules.sizes
            for leverage in rules.leverages
        ]
        self.worth, self.visits = defaultdict(float), defaultdict(int)
        count = len(self.trades)
        self.lane = [i * rules.accounts // count for i in range(count)]
        self.agent = [int(regime) if rules.agents == "regime" else 0 for regime in self.trades.regime]
        self.stands, self.follows = {}, {}
        for a in range(count):
            later = [
                b
                for b in range(a + 1, count)
                if self.trades.symbol[a] == self.trades.symbol[b] and self.lane[a] == self.lane[b]
            ]
            if later and self.trades.exit_row[a] == self.trades.entry_row[later[0]]:
                self.stands[later[0]] = a
            own = [b for b in later if self.agent[a] == self.agent[b]]
            if own:
                self.follows[a] = own[0]
        # What a mark has come to has a twin of its own, in the tests of marks.
        self.marks = marks_of(market, self.trades, self.confidence, rules) if rules.mark_weight else Marks.none()

    def size(self, trade, action):
        atr = self.atr[self.trades.entry_row[trade]]
        cap = LIMIT
        if self.rules.max_risk_frac is not None and atr > 0:
            cap = min(cap, self.rules.max_risk_frac / (self.rules.stop_atr * atr))
        return min(self.orders[action][0], cap)

    def reward(self, trade, action, unit=None, worst=None):
        leverage = self.orders[action][1]
        unit = self.trades.unit_return[trade] if unit is None else unit
        worst = self.trades.worst[trade] if worst is None else worst
        if self.rules.margin == "isolated":
            maintenance, side = self.rules.maintenance_frac, self.trades.side[trade]
            if -worst >= (1 / leverage - maintenance) / (1 - side * maintenance):
                unit = -1 / leverage
        return log1p(self.rules.risk_price * self.size(trade, action) * unit)

    def marked_state(self, mark, action):
        trade, moved = self.marks.trade[mark], self.marks.moved[mark]
        held = self.size(trade, action)
        exposure = held * moved / (1 + self.trades.side[trade] * held * (moved - 1)) / LIMIT
        regime, confidence, _, performance = np.unravel_index(self.marks.idle_state[mark], (5, 5, 4, 3))
        return int(regime), int(confidence), bin_number(exposure, self.rules.exposure_edges), int(performance)

    def state(self, trade, action_before):
        trades, rules = self.trades, self.rules
        row, symbol = trades.entry_row[trade], trades.symbol[trade]
        closed = [i for i in range(len(trades)) if trades.symbol[i] == symbol and trades.exit_row[i] + 1 <= row]
        recent = sorted(closed, key=lambda i: trades.exit_row[i])[-rules.win_window :]
        rate = np.mean([trades.unit_return[i] > 0 for i in recent]) if recent else 0.5
        exposure = 0.0
        if trade in self.stands:
            before = self.stands[trade]
            held = self.size(before, action_before)
            moved = self.close[row] / self.close[trades.entry_row[before]]
            exposure = held * moved / (1 + trades.side[before] * held * (moved - 1)) / LIMIT
        return (
            int(trades.regime[trade]),
            bin_number(float(self.confidence[row]), rules.confidence_edges),
            bin_number(exposure, rules.exposure_edges),
            bin_number(rate, rules.performance_edges) if recent else 1,
        )

    def schedule(self):
        """Events of each lane in order; each is (open?, trade)."""
        lanes = defaultdict(list)
        for i in range(len(self.trades)):
            opened = self.times[self.trades.entry_row[i]]
            known = self.times[self.trades.exit_row[i] + 1]
            lanes[self.lane[i]].append((opened, 1, i, True))
            if self.kind == "bandit":
                lanes[self.lane[i]].append((known, 0, i, False))
            elif i in self.follows:
                after = self.times[self.trades.entry_row[self.follows[i]]]
                lanes[self.lane[i]].append((max(known, after), 2, i, False))
        for mark, trade in enumerate(self.marks.trade):
            lanes[self.lane[trade]].append((self.marks.times[mark], 3, trade, mark))
        return [sorted(lanes[lane]) for lane in sorted(lanes)]

    def learn(self):
        rules, count = self.rules, len(self.trades)
        lanes = self.schedule()
        place = {}
        for lane in range(rules.accounts):
            for agent in set(self.agent):
                own = [i for i in range(count) if self.lane[i] == lane and self.agent[i] == agent]
                place |= {i: k / len(own) for k, i in enumerate(own)}
        last = rules.exploration if rules.final_exploration is None else rules.final_exploration
        for number in range(rules.passes):
            draws = Draws.make(self.rng, count, 25)
            chosen, met = {}, {}
            for step in range(max(len(lane) for lane in lanes)):
                now = [lane[step] for lane in lanes if step < len(lane)]
                for _, kind, i, _ in now:
                    if kind == 1:
                        met[i] = self.state(i, chosen.get(self.stands.get(i)))
                        rate = rules.exploration + (last - rules.exploration) * (number + place[i]) / rules.passes
                        if rules.exploration_schedule == "visits":
                            told = 25 if rules.feedback == "every" else 1
                            before = sum(self.visits[met[i], a] for a in range(25)) / told
                            rate = rules.exploration * rules.exploration_visits / (rules.exploration_visits + before)
                            rate = max(rate, rules.final_exploration or 0.0)
                        order = [(draws.first[i] + k) % 25 for k in range(25)]
                        best = max(order, key=lambda a: self.worth[met[i], a])
                        chosen[i] = int(draws.any_action[i] if draws.uniform[i] < rate else best)
                targets = defaultdict(list)
                for _, kind, i, mark in now:
                    if kind == 3:
                        for action in range(25) if rules.feedback == "every" else [chosen[i]]:
                            target = self.reward(i, action, self.marks.unit_return[mark], self.marks.worst[mark])
                            if self.kind == "q_table":
                                after = self.marked_state(mark, action)
                                target += rules.gamma * max(self.worth[after, a] for a in range(25))
                            targets[met[i], action].append((target, rules.mark_weight))
                    elif kind != 1:
                        for action in range(25) if rules.feedback == "every" else [chosen[i]]:
                            target = self.reward(i, action)
                            if self.kind == "q_table":
                                after = self.state(self.follows[i], action)
                                if self.stands.get(self.follows[i], i) != i:
                                    after = met[self.follows[i]]
                                target += rules.gamma * max(self.worth[after, a] for a in range(25))
                            targets[met[i], action].append((target, 1))
                for cell, told in targets.items():
                    come = [target for target, _ in told]
                    n, m = self.visits[cell], sum(weight for _, weight in told)
                    step_size = m / (n + m)
                    if rules.learning_rate_schedule == "constant":
                        step_size = 1 - (1 - rules.learning_rate) ** m
                    self.worth[cell] += step_size * (np.mean(come) - self.worth[cell])
                    self.visits[cell] += m
        return self


def tables_of(plain):
    values, visits = np.zeros((2, 5, 5, 4, 3, 25))
    for (state, action), count in plain.visits.items():
        values[*state, action], visits[*state, action] = plain.worth[state, action], count
    return values.reshape(300, 25), visits.reshape(300, 25)


def hand_world(rows=260):
    """Two symbols whose trades are short, turn often, and sometimes lose enough to be liquidated."""
    rng = np.random.default_rng(5)
    direction = np.repeat(rng.integers(-1, 2, rows), rng.integers(1, 5, rows))[: 2 * rows].astype(np.int8)
    market = make_market(
        rows,
        symbols=2,
        seed=1,
        direction=direction,
        bar_return=rng.normal(0.0, 0.08, 2 * rows),
        regime=rng.integers(0, 5, 2 * rows).astype(np.int8),
    )
    start, end = pd.Timestamp("2020-01-01", tz="UTC"), pd.Timestamp("2021-01-01", tz="UTC")
    folds = [
        Fold("rolling", n, start, end, {"S0": Slice(0, stop), "S1": Slice(0, stop)}, {})
        for n, stop in ((0, 200), (1, rows))
    ]
    columns = {confidence_column(fold): torch.from_numpy(rng.random(2 * rows).astype(np.float32)) for fold in folds}
    # Both symbols live through the same hours.
    tape = replace(market.tape, times=market.times[:rows].append(market.times[:rows]))
    return replace(market, confidence=columns, tape=tape), folds


CASES = {
    "plain": {},
    "every": {"feedback": "every", "learning_rate_schedule": "visits"},
    "cash, annealed": {"margin": "cash", "final_exploration": 0.9, "max_risk_frac": None},
    "accounts": {"accounts": 4, "exploration": 0.5},
    "exploration by visits": {"exploration_schedule": "visits", "exploration": 0.9, "final_exploration": 0.1},
    "every, by visits": {"exploration_schedule": "visits", "exploration": 0.9, "feedback": "every"},
    "agents of regimes": {"agents": "regime", "exploration": 0.5, "final_exploration": 0.0},
    "agents, every": {"agents": "regime", "feedback": "every"},
    "marked": {"mark_weight": 0.25},
    "marked, means, every": {"mark_weight": 0.5, "learning_rate_schedule": "visits", "feedback": "every"},
    "risk priced": {"risk_price": 3.0},
    "accounts of means": {"accounts": 3, "feedback": "every", "learning_rate_schedule": "visits"},
}


@pytest.mark.parametrize("kind", ["bandit", "q_table"])
@pytest.mark.parametrize("case", CASES)
def test_tables_learned_together_equal_plain_ones(kind, case):
    market, folds = hand_world()
    rules = Tabular(**({"passes": 2, "win_window": 5} | CASES[case]))
    learned = train_tables(market, folds, [1, 2], kind, rules, Account())
    assert [(t.origin["fold"], t.origin["seed"]) for t in learned.tables] == [(0, 1), (0, 2), (1, 1), (1, 2)]
    for table in (learned.tables[0], learned.tables[3]):
        fold = folds[table.origin["fold"]]
        plain = PlainTable(market, fold, kind, rules, table.origin["seed"]).learn()
        values, visits = tables_of(plain)
        np.testing.assert_allclose(table.visits, visits, rtol=1e-12)
        np.testing.assert_allclose(table.values, values, rtol=1e-9, atol=1e-12)
        assert len(plain.stands) > 10
        assert (plain.trades.worst < -0.25).sum() > 3
        assert (table.visits.reshape(5, 5, 4, 3, 25).sum(axis=(0, 1, 3, 4)) > 0).sum() >= 3
    assert learned.tables[0].visits.sum() != learned.tables[2].visits.sum()


def test_the_real_quick_fold_equals_a_plain_one(quick):
    market, fold = quick.market.to("cpu", torch.float64), quick.folds["rolling"][0]
    rules = Tabular(passes=1)
    table = train_tables(market, [fold], [3], "q_table", rules, Account()).tables[0]
    values, visits = tables_of(PlainTable(market, fold, "q_table", rules, 3).learn())
    np.testing.assert_array_equal(table.visits, visits)
    np.testing.assert_allclose(table.values, values, rtol=1e-9, atol=1e-15)
    assert table.visits.sum() > 50
