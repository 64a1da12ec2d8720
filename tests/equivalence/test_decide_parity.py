"""What `decide` says from bars alone is what the walk-forward did: the same account, action and dollars, to the cent.

`--decide-rows` asks at more closes of the 2,000, and 2000 at each of them.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sizewise.dataset.confidence import confidence_column
from sizewise.learning.ppo.agent import PolicySizer
from sizewise.live import history
from sizewise.live.opening import open_arm, policy_arm
from sizewise.params.arms import MultiplesOf
from sizewise.params.reading import read_params
from sizewise.params.trading import trading
from sizewise.params.trading.decisions import Decisions
from sizewise.sizing.sizers import JoinedSizer
from sizewise.walkforward.field import OPENERS
from sizewise.walkforward.walk import RULE_SEED, PathKey, policies_sizer, walk

from ..conftest import ROOT
from ..live_checkout import write_checkout
from ..unit.conftest import trained_field  # noqa: F401

SYMBOLS = ("BTCUSDT_1h", "EURUSD_1h")
BARS = 2000
SEED = 1
ARMS = [name for name, arm in read_params(ROOT)["arms"].items() if arm["kind"] != "oracle_hindsight"]
# A walk up to a later close than these is left to `--decide-rows`; the second is of arms that must be walked in any case.
WALKED, REMEMBERED = 60, 400


@dataclass
class Recorder:
    """A sizer and what it saw and sent, a row a bar: equity, position, day trades left, order (dollars), action, peak."""

    sizer: object

    def __post_init__(self):
        self.uses, self.rows, self.asked = self.sizer.uses, [], []

    def orders(self, at):
        sent = self.sizer.orders(at)
        action = torch.full_like(at.equity, torch.nan)
        if isinstance(self.sizer, PolicySizer):
            action = self.sizer.log_prob(at).argmax(-1).double()
        parts = [sent.market, None if sent.place is None else sent.place.units]
        units = sum(part[0] for part in parts if part is not None)
        left = at.held.book.day_trades.at(at.bar.session).left()[0]
        self.asked.append(int(at.rows[0]))
        self.rows.append(torch.stack([at.equity, at.position, left, units * at.close, action, at.peak]))
        return sent

    def path(self, number):
        """float64 [bars, 6] of one path."""
        return torch.stack(self.rows)[:, :, number].numpy()


def keys_of(market, name, seed, start, column):
    """One path of BARS bars a symbol."""
    rows = [market.first_row[market.symbols.index(symbol)] + start[symbol] for symbol in SYMBOLS]
    return tuple(PathKey(name, symbol, 0, seed, row, BARS, column) for symbol, row in zip(SYMBOLS, rows, strict=True))


@pytest.fixture(scope="module")
def walked(trained_field):  # noqa: F811
    """Every arm walked side by side over both symbols: {arm: (first row of each symbol, a record of each)}."""
    field, fold, market = trained_field.field(), trained_field.folds[0], trained_field.market
    start = {symbol: fold.test[symbol].start for symbol in SYMBOLS}
    recorders, keys = [], []
    for name in ARMS:
        arm = trained_field.arms[name]
        seed = SEED if arm.learned or arm.random else RULE_SEED
        mine = keys_of(market, name, seed, start, confidence_column(fold))
        recorders.append(Recorder(OPENERS[arm.kind](field, name, mine)))
        keys += mine
    walk(market, keys, JoinedSizer(recorders, [len(SYMBOLS)] * len(ARMS)), trained_field.world)
    records = {
        name: {symbol: recorder.path(i) for i, symbol in enumerate(SYMBOLS)}
        for name, recorder in zip(ARMS, recorders, strict=True)
    }
    return start, records


@pytest.fixture(scope="module")
def checkout(quick, trained_field, tmp_path_factory) -> Path:  # noqa: F811
    return write_checkout(tmp_path_factory.mktemp("checkout"), ROOT, quick, trained_field.policies)


@pytest.fixture(scope="module")
def opened(checkout):
    """`opened(name)`: an arm, opened once."""
    arms = {}

    def arm(name):
        if name not in arms:
            arms[name] = open_arm(name, checkout, fold=0, profile="quick")
        return arms[name]

    return arm


def rows_to_ask(record, wanted):
    """Bars of a path whose close is asked: the first, where most happens, and the last that no fold's end overrules."""
    if wanted >= BARS:
        return list(range(len(record) - 1))
    orders = record[:-1, 3]
    happened = np.flatnonzero(np.abs(orders) > 0.005)
    spread = happened[np.linspace(0, len(happened) - 1, min(wanted, len(happened))).astype(int)]
    return sorted({0, *spread.tolist(), *(spread[:1] + 1).tolist(), len(record) - 2})


def same(said, record, action):
    """Whether a decision is the record of the same close."""
    equity, position, _, dollars, chosen, _ = record
    assert round(said.equity, 2) == round(equity, 2)
    assert round(said.position, 2) == round(position, 2)
    assert abs(said.dollars - dollars) < 0.005
    if action:
        assert said.action == int(chosen)


@pytest.mark.parametrize("symbol", SYMBOLS)
@pytest.mark.parametrize("name", ARMS)
def test_an_arm_decides_as_it_walked(quick, opened, walked, name, symbol, request):
    start, records = walked
    bars, record, arm = quick.universe.bars[symbol], records[name][symbol], opened(name)
    first = start[symbol]
    asked = rows_to_ask(record, request.config.getoption("--decide-rows"))
    action = not np.isnan(record[0, 4])
    if arm.remembers and len(asked) < 100:
        asked = [t for t in asked if t <= REMEMBERED]
    for t in asked:
        known = bars.iloc[: first + t + 1]
        if t <= WALKED:
            same(arm.decide(known, symbol=symbol, since=bars.index[first]), record[t], action)
        equity, position, left = record[t, :3]
        now = {"equity": equity, "position": position, "day_trades_left": int(left), "peak_equity": record[t, 5]}
        same(arm.decide(known, symbol=symbol, since=bars.index[first], **now), record[t], action)
    assert np.abs(record[asked, 3]).max() > 1.0 or not np.abs(record[: BARS - 2, 3]).any()


# A policy's scheme, and the bars after which it is asked.
SCHEMES = {
    "levels": trading.Levels(kind="levels", levels=[0.05, 0.1, 0.2]),
    "bsh": trading.BSH(kind="bsh"),
    "size_by_leverage25": trading.SizeByLeverage25(kind="size_by_leverage25"),
    "managed_risk": trading.ManagedRisk(kind="managed_risk"),
    "manage_inventory": trading.ManageInventory(kind="manage_inventory"),
    "multiples_of": MultiplesOf(kind="multiples_of", base={"kind": "atr"}, multiples=[0.5, 1.0, 1.5]),
}
SHORT, EARLY = 80, 5


def short_walk(quick, agent, early, decisions=None):
    """A policy over SHORT bars of BTCUSDT's test, from `early` bars before a trade on: (first row of the symbol, record)."""
    market, fold = quick.market.to("cpu", torch.float64), quick.folds["rolling"][0]
    offset, test = market.first_row[market.symbols.index(SYMBOLS[0])], fold.test[SYMBOLS[0]].start
    first = test + int(market.entry[offset + test + EARLY :].nonzero()[0]) + EARLY - early
    row = offset + first
    key = PathKey("ppo", SYMBOLS[0], 0, SEED, row, SHORT, confidence_column(fold))
    recorder = Recorder(policies_sizer(market, "ppo", [key], [fold], {(0, SEED): agent}))
    world = replace(agent.world, rules=agent.rules, decisions=decisions or agent.world.decisions)
    walk(market, [key], recorder, world, follows_signal=agent.follows_signal)
    return first, recorder


@pytest.mark.parametrize("kind", SCHEMES)
def test_a_policy_of_any_scheme_decides_as_it_walked(quick, kind):
    job = replace(quick.job("masked", seed=SEED), scheme=SCHEMES[kind])
    agent = quick.train_together([job], iterations=1, initial_hold_prob=0.01)[0].agent
    first, recorder = short_walk(quick, agent, EARLY)
    record, bars, arm = recorder.path(0), quick.universe.bars[SYMBOLS[0]], policy_arm(agent)
    for t in sorted({0, *rows_to_ask(record, 6)} & set(range(SHORT - 2))):
        said = arm.decide(bars.iloc[: first + t + 1], symbol=SYMBOLS[0], since=bars.index[first])
        same(said, record[t], action=True)
    assert np.abs(record[:, 3]).max() > 1.0


@pytest.mark.parametrize("decisions", [Decisions(every="bar", count=3), Decisions(every="hour", count=4)])
def test_between_the_clocks_closes_nothing_is_decided(quick, agents, decisions):
    agent = replace(agents["free"], world=replace(agents["free"].world, decisions=decisions))
    first, recorder = short_walk(quick, agent, EARLY, decisions)
    record, bars, arm = recorder.path(0), quick.universe.bars[SYMBOLS[0]], policy_arm(agent)
    offset = quick.market.first_row[quick.market.symbols.index(SYMBOLS[0])]
    decided = [asked - offset - first for asked in recorder.asked]
    for t in range(9):
        said = arm.decide(bars.iloc[: first + t + 1], symbol=SYMBOLS[0], since=bars.index[first])
        assert said.decides == (t in decided)
        if said.decides:
            same(said, record[decided.index(t)], action=True)
        else:
            assert (said.action, said.dollars, said.probabilities) == (None, 0.0, ())
    assert 1 <= sum(t < 9 for t in decided) <= 4


# Planted faults.


def test_features_of_the_bar_before_are_caught(quick, opened, walked, monkeypatch):
    start, records = walked
    record, first, bars = records["vol_target"][SYMBOLS[0]], start[SYMBOLS[0]], quick.universe.bars[SYMBOLS[0]]
    entry = rows_to_ask(record, 1)[1]
    asked = {"symbol": SYMBOLS[0], "since": bars.index[first]}
    same(opened("vol_target").decide(bars.iloc[: first + entry + 1], **asked), record[entry], action=False)
    true = history.compute_features

    def late(*arguments):
        table = true(*arguments)
        return table.assign(**{name: table[name].shift(1) for name in table.columns if table[name].dtype == float})

    monkeypatch.setattr(history, "compute_features", late)
    with pytest.raises(AssertionError):
        same(opened("vol_target").decide(bars.iloc[: first + entry + 1], **asked), record[entry], action=False)


def test_joining_a_trade_under_way_is_caught(quick):
    job = replace(quick.job("masked", seed=SEED), scheme=SCHEMES["levels"])
    agent = quick.train_together([job], iterations=1)[0].agent
    first, recorder = short_walk(quick, agent, -1)
    record, known, arm = recorder.path(0), quick.universe.bars[SYMBOLS[0]].iloc[: first + 1], policy_arm(agent)
    same(arm.decide(known, symbol=SYMBOLS[0], since=known.index[-1]), record[0], action=True)
    own = {"equity": 1000.0, "position": 0.0}
    same(arm.decide(known, symbol=SYMBOLS[0], since=known.index[-1], **own), record[0], action=True)
    with pytest.raises(AssertionError):
        same(arm.decide(known, symbol=SYMBOLS[0], since=known.index[-3], **own), record[0], action=True)
