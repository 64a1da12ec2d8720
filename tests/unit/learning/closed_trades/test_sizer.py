"""The sizer sees what the learner saw, holds its size to the exit, and never looks ahead."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sizewise.base.errors import CheckpointError
from sizewise.dataset.market_tensor import fold_confidence
from sizewise.dataset.splits import Slice
from sizewise.learning.closed_trades.learner import ClosedTradeLearner
from sizewise.learning.closed_trades.lessons import DRAWDOWN_UNIT, build_lessons, flow_columns
from sizewise.learning.closed_trades.sizer import ClosedTradeSizer
from sizewise.learning.closed_trades.training import train_closed_trades
from sizewise.sizing.walks import backtest

from ....hand_trades import ACCOUNT, NAMES, RULES, even, planted_fold, planted_market
from .test_training import SMALL

# It learns nothing: what it proposes while "training" is what the policy proposes after it.
FROZEN = {"learning_rate": 1e-30, "exploration": 0.0, "final_exploration": 0.0}


def walk(market, policies, confidence, paths, account):
    """paths: (policy, symbol number, start row, length) each. Returns (ledger, sizer)."""
    policy, symbols, starts, lengths = (torch.tensor(column) for column in zip(*paths, strict=True))
    sizer = ClosedTradeSizer(market, policies, confidence, policy, starts, lengths, symbols, account)
    return backtest.run(market, starts, lengths, torch.stack(confidence), policy, sizer, account), sizer


@pytest.fixture(scope="module")
def exact(quick):
    return quick.market.to("cpu", torch.float64)


@pytest.mark.parametrize("kind", ["dqn", "outcome_ensemble"])
def test_out_of_sample_it_meets_what_it_met_in_training(quick, exact, kind):
    """Twin: the learner's own accounts against the broker's, over the same slice and with parameters that stay put."""
    fold, account = quick.folds["rolling"][0], quick.params.account
    rules = SMALL.model_copy(update=FROZEN)
    confidence = fold_confidence(exact, fold)
    member = train_closed_trades(exact, fold, [1], kind, kind, rules, account)[0]
    lessons = build_lessons(exact, fold.train, confidence, member.policy.scalers, rules, 0.2)
    name = f"{kind}_rolling_fold0_seed1"
    learner = ClosedTradeLearner(lessons, rules, kind, account, [name], flow_columns(rules))
    met, decisions = {}, {}
    for closes, trade in lessons.events():
        if closes:
            learner.close(decisions.pop(trade))
        else:
            decisions[trade] = learner.open(trade)
            met[trade] = learner.log.record(decisions[trade])

    seen = {}

    class Watched(ClosedTradeSizer):
        def sizes(self, paths, scalars):
            found = super().sizes(paths, scalars)
            for path, scalar, size in zip(paths, scalars, found, strict=True):
                seen[int(self._rows[path][self._entered[path]])] = (scalar, size)
            return found

    paths = []
    for symbol, part in fold.train.items():
        start, stop = exact.rows(symbol, part)
        paths.append((0, exact.symbols.index(symbol), start, stop - start))
    policy, symbols, starts, lengths = (torch.tensor(column) for column in zip(*paths, strict=True))
    sizer = Watched(exact, [member.policy], [confidence], policy, starts, lengths, symbols, account)
    ledger = backtest.run(exact, starts, lengths, confidence[None], policy, sizer, account)

    assert len(met) > 50
    turns = 0
    for trade, held in met.items():
        scalar, size = seen[int(lessons.trades.entry_row[trade])]
        # A turn is marked without what holding has cost so far, some basis points of the position; a drawdown is of equity.
        most = [2e-3, 1e-3 * account.position_limit_frac / DRAWDOWN_UNIT, 0.0]
        assert (np.abs(scalar - held.scalars[0]) <= most + 1e-3 * np.abs(held.scalars[0])).all()
        assert size == pytest.approx(held.size[0], abs=1e-6)
        turns += scalar[0] > 0
    if kind == "dqn":
        assert len({held.size[0] for held in met.values()}) > 1
    for path, (_, number, start, _length) in enumerate(paths):
        last = [trade for trade in met if lessons.trades.symbol[trade] == number][-1]
        worth = ledger.equity[int(lessons.trades.exit_row[last]) + 1 - start, path]
        # What a mark misses, a share of the limit, the next notional misses too, and that earns a share of the limit.
        assert float(worth) == pytest.approx(learner._equity[0, number], rel=2.5e-4 * account.position_limit_frac**2)


def test_sizes_are_held_from_entry_to_exit_and_capped():
    market = planted_market(80)
    fold = planted_fold(market, train=0.5)
    members = train_closed_trades(
        market, fold, [1, 2], "o", "dqn", RULES, ACCOUNT, confidence=even(market), features=NAMES
    )
    start, stop = market.rows("S0", fold.test["S0"])
    ledger, _ = walk(
        market,
        [member.policy for member in members],
        [even(market)] * 2,
        [(0, 0, start, stop - start), (1, 0, start, stop - start)],
        ACCOUNT,
    )
    share = (ledger.position / ledger.equity).numpy()
    direction = market.direction[start:stop].numpy()
    assert np.abs(share).max() < 0.2 * 1.05  # a gain carries a position past the limit it was opened at
    assert np.abs(share).max() > 0.1
    assert (np.sign(share[1:]) * direction[:-1, None] >= 0).all()
    flat = direction[:-1] == 0
    assert (share[1:][flat] == 0).all()


def test_paths_do_not_depend_on_their_companions(quick, exact):
    fold, account = quick.folds["rolling"][0], quick.params.account
    confidence = fold_confidence(exact, fold)
    rules = SMALL.model_copy(update={"contribution_rate": 0.2})
    policies = [
        member.policy for member in train_closed_trades(exact, fold, [1, 2], "e", "outcome_ensemble", rules, account)
    ]
    assert policies[0].contributions != policies[1].contributions
    paths = []
    for symbol, part in fold.test.items():
        start, stop = exact.rows(symbol, part)
        paths += [(k, exact.symbols.index(symbol), start, stop - start) for k in (0, 1)]
    together, _ = walk(exact, policies, [confidence] * 2, paths, account)
    for path, (k, number, start, length) in enumerate(paths):
        alone, _ = walk(exact, [policies[k]], [confidence], [(0, number, start, length)], account)
        np.testing.assert_allclose(alone.equity[:, 0], together.equity[:length, path], rtol=1e-12)
    assert not torch.equal(together.equity[:, 0], together.equity[:, 1])


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_the_future_changes_no_decision(quick, exact, share):
    """Poison every row after a cut, results of trades included: positions up to the cut stay the same, bit for bit."""
    fold, account = quick.folds["rolling"][0], quick.params.account
    confidence = fold_confidence(exact, fold)
    policies = [
        member.policy for member in train_closed_trades(exact, fold, [1], "d", "outcome_ensemble", SMALL, account)
    ]
    start, stop = exact.rows("BTCUSDT_1h", fold.test["BTCUSDT_1h"])
    path = [(0, 0, start, stop - start)]
    cut = start + int(share * (stop - start))
    after_cut = slice(cut, stop)
    features, prices = exact.features.clone(), {}
    features[after_cut] *= 1.5
    for name, factor in (("open", 1.4), ("high", 1.6), ("low", 1.3), ("close", 1.5)):
        prices[name] = exact.tape.column(name).clone()
        prices[name][after_cut] *= factor
    prices["last_close"] = exact.tape.column("last_close").clone()
    prices["last_close"][cut + 1 : stop] *= 1.5
    other = replace(exact, features=features, tape=exact.tape.changed(**prices))
    before, _ = walk(exact, policies, [confidence], path, account)
    after, _ = walk(other, policies, [confidence], path, account)
    known = cut - start
    np.testing.assert_array_equal(before.position[:known], after.position[:known])
    assert (before.position[:known] != 0).any()
    assert not torch.equal(before.position[known:], after.position[known:])


def test_a_path_that_never_enters_stays_flat():
    market = planted_market(40)
    fold = planted_fold(market, train=0.5)
    member = train_closed_trades(
        market, fold, [1], "o", "dqn", RULES, ACCOUNT, confidence=even(market), features=NAMES
    )[0]
    quiet = replace(market, entry=torch.zeros_like(market.entry), direction=torch.zeros_like(market.direction))
    ledger, _ = walk(quiet, [member.policy], [even(market)], [(0, 0, 10, 60)], ACCOUNT)
    assert (ledger.position == 0).all()


def test_policies_that_do_not_belong_are_refused():
    market = planted_market(40, symbols=2)
    fold = replace(planted_fold(market), train={"S0": Slice(7, 168)})
    trained = {
        kind: train_closed_trades(market, fold, [1], "o", kind, RULES, ACCOUNT, confidence=even(market), features=NAMES)
        for kind in ("dqn", "outcome_ensemble")
    }
    mixed = [members[0].policy for members in trained.values()]
    with pytest.raises(CheckpointError, match="different kinds or outcome parameters"):
        walk(market, mixed, [even(market)] * 2, [(0, 0, 10, 60), (1, 0, 10, 60)], ACCOUNT)
    with pytest.raises(CheckpointError, match=r"not trained on symbol 'S1' \(it knows S0\)"):
        walk(market, mixed[:1], [even(market)], [(0, 1, market.first_row[1] + 10, 60)], ACCOUNT)
