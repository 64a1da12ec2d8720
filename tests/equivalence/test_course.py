"""A clock of decisions: the bars between two of them in one leap, against the same bars one by one, and against an
environment that decides at every bar and holds in between. What is compiled is held to the leap by tensors, to the bit."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from unittest import mock

import numpy as np
import pytest
import torch
from torch.utils._pytree import tree_leaves

from sizewise.base.errors import ActionError
from sizewise.dataset.clock import decision_rows
from sizewise.dataset.market_tensor import Market
from sizewise.market.costs import Costs
from sizewise.market.tape import Tape, chain_tapes
from sizewise.params.learning.train import Episode
from sizewise.params.trading.account import Account
from sizewise.params.trading.decisions import Decisions
from sizewise.params.trading.trading import InstrumentCosts, Levels, Rules, SchemeModel, Sizing, Trading
from sizewise.trading import course
from sizewise.trading.broker.broker import Broker
from sizewise.trading.broker.compiled_plain import BLOCK
from sizewise.trading.broker.compiled_stretch import Way
from sizewise.trading.broker.orders import Orders
from sizewise.trading.environment import TradingEnv
from sizewise.trading.episodes import Ranges

from ..hand_market import make_market

ROWS = (400, 230, 311)
COSTLY = Costs(taker_bps=10.0, half_spread_bps=2.0, borrow_bps_per_day=40.0, loan_bps_per_day=60.0)
CLOCKS = {
    "session": Decisions(every="session"),
    "hours": Decisions(every="hour", count=5),
    "bars": Decisions(every="bar", count=7),
    "entry": Decisions(every="entry"),
}
CASH, LENT = Rules(rounding=False), Rules(rounding=False, margin="unlimited")
# A position of either side, and one on a loan.
SIDES = Levels(kind="levels", levels=(-0.6, -0.3, 0.0, 0.4, 0.7), mode="free")
LOANS = Levels(kind="levels", levels=(-0.6, 0.0, 0.4, 0.7, 1.5), mode="free")
WHOLE = Levels(kind="levels", levels=(-1.0, -0.4, 0.0, 0.5, 1.0), mode="free")
# What rounds away: float64 money to 1e-9 of it; a reward is a logarithm of it.
ROUNDS = {torch.float64: 1e-9, torch.float32: 1e-4}


def hand_world(seed: int = 1, rows: tuple[int, ...] = ROWS) -> Market:
    """Markets of different lengths, with funding of either sign and now and then a bar that ruins."""
    parts = []
    for s, n in enumerate(rows):
        rng = np.random.default_rng((seed, s))
        jump = rng.random(n)
        bar = np.where(jump < 0.004, -0.25, np.where(jump > 0.996, 0.25, rng.normal(0.0, 0.003, n)))
        funding = np.where(np.arange(n) % 8 == 3, rng.normal(0.0, 2e-3, n), 0.0)
        parts.append(make_market(n, seed=10 * seed + s, costs=COSTLY, bar_return=bar, funding=funding))
    columns = {
        field.name: torch.cat([getattr(part, field.name) for part in parts])
        for field in fields(Market)
        if field.name not in ("tape", "confidence") and isinstance(getattr(parts[0], field.name), torch.Tensor)
    }
    return Market(tape=chain_tapes([part.tape for part in parts], sum(rows)), confidence={}, **columns)


def open_env(
    market: Market,
    decides: torch.Tensor | None,
    scheme: SchemeModel = SIDES,
    rules: Rules = CASH,
    *,
    dtype: torch.dtype = torch.float64,
    groups: int = 3,
    replicas: int = 3,
    ruin_frac: float = 0.9,
    episode: Episode | None = None,
    **how: object,
) -> TradingEnv:
    bounds = [(first, first + n) for first, n in zip(market.first_row, market.n_rows, strict=True)]
    place = Ranges(tuple(range(len(bounds))), *(tuple(edge) for edge in zip(*bounds, strict=True)))
    return TradingEnv(
        market.tape,
        [place],
        Trading(symbols=("A",), scheme=scheme, costs=InstrumentCosts(), rules=rules),
        Account(ruin_frac=ruin_frac),
        groups=groups,
        replicas=replicas,
        generators=[torch.Generator().manual_seed(3)],
        direction=market.direction,
        decides=decides,
        dtype=dtype,
        episode=episode or Episode(mean_steps=12, sd_steps=4.0),
        **({"horizon": 9} | how),
    )


def precise(env: TradingEnv) -> list[torch.Tensor]:
    """Rewards as they were before they were handed out in single precision, one a step, [K, R, G]."""
    kept: list[torch.Tensor] = []
    rewarded = env.desk.rewarded

    def keep(*args: object):
        kept.append((step := rewarded(*args)).reward)
        return step

    env.desk.rewarded = keep  # type: ignore[method-assign]
    return kept


@contextmanager
def counted() -> Iterator[list[bool]]:
    """Whether each stretch that was asked could be leapt over: at once, or by tensors."""
    found: list[bool] = []
    ask, across = course.Stretch.leads_nobody_to, Broker.across

    def say(self: course.Stretch, *args: object) -> bool:
        found.append(bool(ask(self, *args)))
        return found[-1]

    def go(self: Broker, *args: object) -> object:
        crossed = across(self, *args)
        found.extend([True] if crossed is not None else [])
        return crossed

    with mock.patch.object(course.Stretch, "leads_nobody_to", say), mock.patch.object(Broker, "across", go):
        yield found


def by_tensors(env: TradingEnv) -> TradingEnv:
    """The same, whose leaps nothing compiled makes."""
    env.desk.broker.crosses = False
    return env


def assert_same(leaping: TradingEnv, walking: TradingEnv, horizons: int = 16) -> int:
    """Everything either environment says is the same under the same actions; the number of ruins on the way."""
    tolerance, draws, ruins = ROUNDS[leaping.dtype], torch.Generator().manual_seed(5), 0
    close = {"rtol": tolerance, "atol": tolerance, "msg": lambda text: f"is off: {text}"}
    seen = precise(leaping), precise(walking)
    for _ in range(horizons):
        assert torch.equal(leaping.restart(), walking.restart())
        for _ in range(leaping.horizon):
            assert torch.equal(leaping.rows, walking.rows)
            (shown, mask), (expected, allowed) = leaping.observe(), walking.observe()
            torch.testing.assert_close(shown, expected, **(close | {"rtol": 1e-4, "atol": 2e-7 + tolerance}))
            assert torch.equal(mask, allowed)
            actions = torch.where(mask, torch.rand(mask.shape, generator=draws), -1.0).argmax(-1)
            ours, theirs = leaping.step(actions), walking.step(actions)
            assert torch.equal(ours.terminated, theirs.terminated), "the end of an account is off"
            assert (ours.truncated is None) == (theirs.truncated is None)
            if ours.truncated is not None:
                assert torch.equal(ours.truncated, theirs.truncated)
                torch.testing.assert_close(
                    ours.final, theirs.final, **(close | {"rtol": 1e-4, "atol": 2e-7 + tolerance})
                )
            torch.testing.assert_close(seen[0][-1], seen[1][-1], **close)
            torch.testing.assert_close(leaping.equity, walking.equity, **(close | {"atol": 0.0}))
            ruins += int(ours.terminated.sum())
    return ruins


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
# Where somebody owes, interest runs on interest and nobody leaps: two accounts are enough to see both.
@pytest.mark.parametrize(
    ("scheme", "rules", "sizes"),
    [(SIDES, CASH, {}), (LOANS, LENT, {"groups": 1, "replicas": 2})],
    ids=["cash", "loans"],
)
@pytest.mark.parametrize("clock", CLOCKS)
def test_a_leap_is_the_bars_one_by_one(clock, scheme, rules, sizes, dtype):
    market = hand_world()
    decides = decision_rows(market, CLOCKS[clock], follows_signal=False)
    # A session is a day of bars, which the slow side walks one by one.
    how = {"dtype": dtype, "horizon": 3 if clock == "session" else 6, **sizes}
    envs = [open_env(market, decides, scheme, rules, leaps=leaps, **how) for leaps in (True, False)]
    with counted() as leapt:
        ruins = assert_same(*envs)
    # Some accounts were ruined, and of the stretches some were leapt over and some walked.
    assert ruins >= 1
    assert set(leapt) == {True, False}


@pytest.mark.parametrize("clock", ["session", "bars"])
def test_a_leap_is_the_bars_one_by_one_behind_a_signal(clock):
    market = hand_world(2)
    decides = decision_rows(market, CLOCKS[clock], follows_signal=True)
    scheme = Sizing(kind="sizing7", mode="masked")
    with counted() as leapt:
        assert_same(*(open_env(market, decides, scheme, leaps=leaps, ruin_frac=0.2) for leaps in (True, False)))
    assert any(leapt)


def test_accounts_that_begin_with_a_position_have_leapt_to_it():
    market = hand_world(3)
    decides = decision_rows(market, CLOCKS["bars"], follows_signal=False)
    begin = Episode(mean_steps=12, random_position_prob=0.7)
    with counted() as leapt:
        assert_same(*(open_env(market, decides, episode=begin, leaps=leaps) for leaps in (True, False)))
    assert any(leapt)


@pytest.mark.parametrize("leaps", [True, False])
def test_a_decision_now_and_then_is_one_at_every_bar_that_holds_in_between(leaps):
    """The slow twin knows no course: it decides at every bar, and holds where the clock does not decide."""
    market = hand_world(4, rows=(400,))
    decides = decision_rows(market, CLOCKS["hours"], follows_signal=False)
    scheme, whole = Sizing(kind="sizing7", mode="free"), Episode(mean_steps=10_000)
    rare = open_env(market, decides, scheme, groups=1, ruin_frac=0.2, horizon=60, leaps=leaps, episode=whole)
    rare.restart()
    at = decides.nonzero().flatten()
    first, last = rare.rows.item(), at[int((at == rare.rows.item()).nonzero()) + 60].item()
    often = open_env(market, None, scheme, groups=1, ruin_frac=0.2, horizon=last - first, episode=whole)
    often.restart()
    often.episodes.rows = torch.tensor([[first]])
    often.reload()
    draws, total, kept = torch.Generator().manual_seed(5), 0.0, (precise(rare), precise(often))
    for row in range(first, last):
        actions = torch.zeros(rare.shape, dtype=torch.int64)
        if decides[row]:
            assert rare.rows.item() == row
            torch.testing.assert_close(rare.equity, often.equity, rtol=1e-10, atol=0.0)
            torch.testing.assert_close(rare.observe()[0], often.observe()[0], rtol=1e-4, atol=1e-6)
            actions = torch.randint(0, 7, rare.shape, generator=draws)
            rare.step(actions)
        assert not often.step(actions).terminated.any()
    torch.testing.assert_close(rare.equity, often.equity, rtol=1e-10, atol=0.0)
    for rewards in kept:
        total = torch.stack(rewards).sum(0)
        torch.testing.assert_close(total, (rare.position.equity / 1000.0).log(), rtol=0, atol=1e-11)
    assert len(kept[0]) == 60 < len(kept[1]) / 3


@pytest.mark.parametrize("leaps", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_rewards_sum_to_the_growth_of_equity_between_restarts(dtype, leaps):
    market = hand_world(5)
    decides = decision_rows(market, CLOCKS["bars"], follows_signal=False)
    env = open_env(market, decides, LOANS, LENT, dtype=dtype, leaps=leaps, episode=Episode(mean_steps=7))
    kept, draws, cut, ruined = precise(env), torch.Generator().manual_seed(6), 0, 0
    total, before = torch.zeros(env.shape, dtype=torch.float64), torch.zeros(())
    for _ in range(6):
        total = torch.where(env.restart().unsqueeze(-1), 0.0, total)
        for _ in range(env.horizon):
            before = env.equity.double()
            change = env.step(torch.randint(0, 5, env.shape, generator=draws))
            reward = kept[-1].transpose(1, 2).double()
            total += reward
            over = change.terminated
            if change.truncated is not None:
                grown = change.final[..., 2].double() * np.log(10.0)
                torch.testing.assert_close(total[change.truncated], grown[change.truncated], rtol=0, atol=1e-5)
                cut, over = cut + int(change.truncated.sum()), over | change.truncated
            # A ruined account's last reward is its fall to the ruin level or below.
            fallen = before * reward.exp()
            assert bool((fallen[change.terminated] <= 900.0 * (1 + 1e-6)).all())
            ruined += int(change.terminated.sum())
            total = torch.where(over, 0.0, total)
            growth = (env.equity.double() / 1000.0).log()
            torch.testing.assert_close(total, growth, rtol=0, atol=1e-10 if dtype == torch.float64 else 1e-4)
    assert cut > 20
    assert ruined > 5


def falls_on_the_way(funding: list[float], closes: list[float]) -> tuple[TradingEnv, TradingEnv]:
    """One market whose decisions are 4 bars apart, of accounts that are ruined when they have lost 10%."""
    rows = len(closes)
    bar = np.diff(np.array(closes), prepend=closes[0]) / np.append(closes[0], closes[:-1])
    market = make_market(rows, costs=Costs.zero(), bar_return=bar, gap_return=np.zeros(rows), funding=np.array(funding))
    decides = torch.arange(rows) % 4 == 0
    both = (
        open_env(market, decides, WHOLE, groups=1, replicas=5, horizon=2, leaps=leaps, episode=Episode(mean_steps=100))
        for leaps in (True, False)
    )
    return tuple(both)  # type: ignore[return-value]


FLAT = [100.0] * 12


@pytest.mark.parametrize(
    ("funding", "closes"),
    [
        # Down and up again; up and down again; paid and received again, received and paid again.
        ([0.0] * 12, [100.0] * 3 + [85.0] + [100.0] * 8),
        ([0.0] * 12, [100.0] * 3 + [115.0] + [100.0] * 8),
        ([0.0, 0.0, 0.15, -0.15] * 3, FLAT),
        ([0.0, 0.0, -0.15, 0.15] * 3, FLAT),
    ],
    ids=["price falls", "price rises", "longs pay", "shorts pay"],
)
def test_whoever_is_ruined_on_the_way_is_ruined(funding, closes):
    leaping, walking = falls_on_the_way(funding, closes)
    for env in (leaping, walking):
        env.restart()
        change = env.step(torch.tensor([[[0, 1, 2, 3, 4]]]))
        assert int(change.terminated.sum()) == 1, "the end of an account is off"


# The comparison itself: each planted fault must be seen.


def forgetful(column: int):
    """A course whose leaps forget borrow (0) or funding (1)."""
    held = Tape.held.func

    def without(self: Tape) -> torch.Tensor:
        return held(self).index_fill(2, torch.tensor([column]), 0.0)

    return mock.patch.object(Tape, "held", property(without))


def at_the_end_only():
    """Stretches that are leapt over whatever may happen in them."""
    return mock.patch.object(course.Stretch, "leads_nobody_to", return_value=True)


def a_bar_short():
    """Stretches that end a bar early, but for the close."""
    leap = course._Stretches.leap.func

    def short(self: course._Stretches):
        early = self.tape.steps(torch.maximum(self.stop - 1, self.start + 1), self.dtype)
        return [
            [bars._replace(close=before.close) for bars, before in zip(*each, strict=True)]
            for each in zip(leap(self), early, strict=True)
        ]

    return mock.patch.object(course._Stretches, "leap", property(short))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(
    "fault",
    [lambda: forgetful(0), lambda: forgetful(1), at_the_end_only, a_bar_short],
    ids=["borrow", "funding", "ruin", "close"],
)
def test_a_leap_that_forgets_something_is_caught(fault, dtype):
    market = hand_world()
    decides = decision_rows(market, CLOCKS["bars"], follows_signal=False)
    envs = [by_tensors(open_env(market, decides, dtype=dtype, leaps=leaps)) for leaps in (True, False)]
    with fault(), pytest.raises(AssertionError, match="is off"):
        assert_same(*envs)


# Lots and smallest orders; day trades of small accounts; loans; and all rules of an account that is let do anything.
RULES = {
    "cash": (SIDES, CASH),
    "rounded": (SIDES, Rules()),
    "loans": (LOANS, LENT),
    "masked": (Sizing(kind="sizing7", mode="masked"), Rules(day_trade_limit=True)),
}


def walked(env: TradingEnv, horizons: int = 8) -> list[object]:
    """What an environment says and holds, horizon by horizon."""
    draws, found = torch.Generator().manual_seed(5), []
    for _ in range(horizons):
        env.restart()
        for _ in range(env.horizon):
            shown, mask = env.observe()
            actions = torch.where(mask, torch.rand(mask.shape, generator=draws), -1.0).argmax(-1)
            change = env.step(actions)
            found += [shown, mask, *change, env.position]
    return found


def differ(one: list[object], other: list[object]) -> bool:
    pairs = zip(tree_leaves(one), tree_leaves(other), strict=True)
    # Nothing and less than nothing are the same amount.
    return any(not torch.equal(a, b) for a, b in pairs if isinstance(a, torch.Tensor))


def limited(market: Market) -> Market:
    """The same, where day trades of small accounts are limited, and some bars have no trade."""
    silent = (torch.arange(len(market.tape.times)) % 11 != 5).double().unsqueeze(1)
    return replace(market, tape=market.tape.changed(day_trade=1.0, traded=silent))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("clock", ["hours", "entry", None])
def test_what_crosses_at_once_is_the_leap_to_the_bit(clock, rules, dtype):
    scheme, given = RULES[rules]
    market = limited(hand_world(6)) if rules == "masked" else hand_world(6)
    decides = None if clock is None else decision_rows(market, CLOCKS[clock], follows_signal=rules == "masked")

    def env() -> TradingEnv:
        # Where somebody owes nobody leaps: two accounts are few enough to see it.
        few = {"groups": 1, "replicas": 2} if rules == "loans" else {}
        return open_env(market, decides, scheme, given, dtype=dtype, horizon=6, ruin_frac=0.5, **few)

    with counted() as leapt:
        ours = walked(env())
    assert sum(leapt) > 10
    assert not differ(ours, walked(by_tensors(env())))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_more_accounts_than_a_block_holds_cross_as_few_do(dtype):
    market = hand_world(7)
    decides = decision_rows(market, CLOCKS["bars"], follows_signal=False)
    many = {"groups": 2 * BLOCK + 5, "replicas": 2, "ruin_frac": 0.01, "horizon": 6}
    with counted() as leapt:
        ours = walked(open_env(market, decides, dtype=dtype, **many), horizons=2)
    assert sum(leapt) == len(leapt) == 12
    assert not differ(ours, walked(by_tensors(open_env(market, decides, dtype=dtype, **many)), horizons=2))


def another_way(**changes: Callable[[Way], np.ndarray]):
    """Ways that are another to whoever crosses them at once."""
    ways = course._Stretches.ways.func

    def changed(self: course._Stretches) -> list[Way]:
        return [way._replace(**{name: change(way) for name, change in changes.items()}) for way in ways(self)]

    return mock.patch.object(course._Stretches, "ways", property(changed))


def without(column: int):
    return another_way(held=lambda way: np.delete(np.insert(way.held, column, 0.0, axis=1), column + 1, axis=1))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(
    "fault",
    [
        lambda: without(0),
        lambda: without(1),
        lambda: another_way(low=lambda way: way.low + 1e9, high=lambda way: way.high - 1e9),
        lambda: another_way(stop=lambda way: np.maximum(way.stop - 1, way.start + 1)),
        lambda: another_way(table=lambda way: np.roll(way.table, 1, axis=0)),
    ],
    ids=["borrow", "funding", "ruin", "end", "bars"],
)
def test_a_fault_on_the_way_is_noticed(fault, dtype):
    market = hand_world()
    decides = decision_rows(market, CLOCKS["bars"], follows_signal=False)
    sound = walked(by_tensors(open_env(market, decides, dtype=dtype)))
    with fault():
        assert differ(sound, walked(open_env(market, decides, dtype=dtype)))


def test_an_order_that_is_no_number_is_refused_where_it_would_have_crossed():
    market = hand_world()
    env = open_env(market, decision_rows(market, CLOCKS["bars"], follows_signal=False))
    env.restart()
    orders = Orders(market=torch.full(env.position.book.units.shape, torch.nan, dtype=env.dtype))
    with (
        mock.patch.object(env.desk.scheme, "orders", return_value=orders),
        pytest.raises(ActionError, match="order of nan"),
    ):
        env.step(torch.zeros(env.shape, dtype=torch.int64))
