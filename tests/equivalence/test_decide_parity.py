"""What `decide` says from bars alone is what the walk-forward did: the same account, action and dollars, to the cent.

`--decide-rows` asks at more closes of the 2,000, and 2000 at each of them.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from sizewise.dataset.confidence import confidence_column
from sizewise.dataset.joint import join_fold, join_market
from sizewise.learning.ppo.agent import PolicySizer
from sizewise.ledgers.files import write_risk
from sizewise.live import history
from sizewise.live.opening import open_arm, policy_arm
from sizewise.params.arms import MultiplesOf
from sizewise.params.reading import read_params
from sizewise.params.trading import trading
from sizewise.params.trading.decisions import Decisions
from sizewise.sizing.scaled import ScaledSizer, shown
from sizewise.sizing.sizers import JoinedSizer
from sizewise.trading.schemes.values import position_limit_frac
from sizewise.walkforward.walk import RULE_SEED, PathKey, policies_sizer, walk

from ..conftest import ROOT
from ..live_checkout import write_checkout
from ..unit.conftest import trained_field  # noqa: F401

SYMBOLS = ("BTCUSDT_1h", "EURUSD_1h")
BARS = 2000
DAY_BARS = 24
SEED = 1
# What matches an arm's risk, by symbol, as the walk-forward leaves it.
FACTORS = {"BTCUSDT_1h": 0.4, "EURUSD_1h": 1.7}
ARMS = [name for name, arm in read_params(ROOT)["arms"].items() if arm["kind"] != "oracle_hindsight"]
# A walk up to a later close than these is left to `--decide-rows`; the second is of arms that must be walked in any case.
WALKED, REMEMBERED = 60, 400
# So many closes of each arm and symbol are no sample.
MANY = 100
# What is asked sees the bars from the first one that the walk knew of, so that all averages agree however young they are.
pytestmark = pytest.mark.usefixtures("short_memories")


@dataclass
class Recorder:
    """A sizer and what it saw and sent at each close: equity, position, day trades left, order (dollars), action, peak.

    Its sizes are multiplied by `factor`, one a path. Of `several` symbols in one account also the order of each, and in
    `held` what each holds.
    """

    policy: object
    factor: torch.Tensor
    limit_frac: float = 1.0
    several: bool = False

    def __post_init__(self):
        self.sizer = ScaledSizer(self.policy, self.factor, self.limit_frac)
        self.uses, self.rows, self.asked, self.decided, self.held = self.sizer.uses, [], [], [], []

    def orders(self, at):
        sent = self.sizer.orders(at)
        action = torch.full_like(at.equity, torch.nan)
        if isinstance(self.policy, PolicySizer):
            action = self.policy.log_prob(shown(at, self.factor)).argmax(-1).double()
        parts = [sent.market, None if sent.place is None else sent.place.units]
        # Of each instrument; [I, paths].
        dollars = sum(part for part in parts if part is not None) * at.bar.close
        left = at.held.book.day_trades.at(at.bar.session).left().amin(0)
        self.asked.append(at.rows)
        self.decided.append(torch.ones_like(at.entry) if at.decides is None else at.decides)
        each = dollars if self.several else dollars[:0]
        self.rows.append(torch.stack([at.equity, at.position, left, dollars.sum(0), action, at.peak, *each]))
        self.held.append(at.held.book.value(at.bar.close))
        return sent

    def path(self, number, first, length):
        """A path's own decisions that no end overrules: bars since row `first`, (n,), and float64 [n, 6], of several symbols
        with one more column for each."""
        since = torch.stack(self.asked)[:, number] - first
        kept = torch.stack(self.decided)[:, number] & (since < length - 2)
        return since[kept].numpy(), torch.stack(self.rows)[kept, :, number].numpy()


def keys_of(market, name, seed, start, column):
    """One path of BARS bars a symbol."""
    rows = [market.first_row[market.symbols.index(symbol)] + start[symbol] for symbol in SYMBOLS]
    return tuple(PathKey(name, symbol, 0, seed, row, BARS, column) for symbol, row in zip(SYMBOLS, rows, strict=True))


@pytest.fixture(scope="module")
def walked(trained_field):  # noqa: F811
    """Every arm walked over both symbols, those of one clock side by side: (first row of each symbol, {arm: {symbol:
    its decisions}})."""
    field, fold, market = trained_field.field(), trained_field.folds[0], trained_field.market
    start, limit = {symbol: fold.test[symbol].start for symbol in SYMBOLS}, position_limit_frac(trained_field.account)
    factor = torch.tensor([FACTORS[symbol] for symbol in SYMBOLS], dtype=torch.float64)
    clocks, records = {}, {}
    for name in ARMS:
        arm = trained_field.arms[name]
        clocks.setdefault((arm.world(trained_field.world).decisions, arm.follows_signal), []).append(name)
    for (decisions, follows), names in clocks.items():
        recorders, keys = {}, []
        for name in names:
            arm = trained_field.arms[name]
            seed = SEED if arm.learned or arm.random else RULE_SEED
            mine = keys_of(market, name, seed, start, confidence_column(fold))
            recorders[name] = Recorder(field.openers.open(name, mine), factor, limit)
            keys += mine
        sizer, world = JoinedSizer(list(recorders.values()), [len(SYMBOLS)] * len(names)), trained_field.world
        walk(market, keys, sizer, replace(world, decisions=decisions), follows_signal=follows)
        for name, recorder in recorders.items():
            of_each = zip(SYMBOLS, keys_of(market, name, SEED, start, ""), strict=True)
            records[name] = {symbol: recorder.path(i, key.start_row, BARS) for i, (symbol, key) in enumerate(of_each)}
    return start, records


@pytest.fixture(scope="module")
def checkout(quick, trained_field, tmp_path_factory) -> Path:  # noqa: F811
    root = write_checkout(tmp_path_factory.mktemp("checkout"), ROOT, quick, trained_field.policies)
    rows = [
        {"arm": name, "scheme": "rolling", "fold": 0, "symbol": symbol, "seed": seed, "factor": factor}
        for name in ARMS
        for symbol, factor in FACTORS.items()
        for seed in (RULE_SEED, SEED)
    ]
    write_risk(root / "build" / "quick" / "artifacts" / "ledger", pd.DataFrame(rows), pd.DataFrame())
    return root


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
    """Decisions of a path that are asked for again: the first, those where most happens and the next one, and the last."""
    if wanted >= BARS:
        return list(range(len(record)))
    happened = np.flatnonzero(np.abs(record[:, 3]) > 0.005)
    spread = happened[np.linspace(0, len(happened) - 1, min(wanted, len(happened))).astype(int)]
    last = len(record) - 1
    return sorted({0, *spread.tolist(), *np.minimum(spread[:1] + 1, last).tolist(), last})


def same(said, record, action, factor=1.0):
    """Whether a decision is the record of the same close."""
    equity, position, _, dollars, chosen, _ = record
    # Less than a cent apart: a network of single precision has other last digits in another batch.
    assert said.equity == pytest.approx(equity, abs=0.005)
    assert said.position == pytest.approx(position, abs=0.005)
    assert abs(said.dollars - dollars) < 0.01
    assert said.factor == factor
    if action:
        assert said.action == int(chosen)


@pytest.mark.parametrize("name", ARMS)
def test_an_arm_decides_as_it_walked(quick, opened, walked, name, request):
    """On one of the symbols, in turn; on both where more is asked."""
    wanted = request.config.getoption("--decide-rows")
    symbols = SYMBOLS if wanted >= MANY else [SYMBOLS[ARMS.index(name) % len(SYMBOLS)]]
    for symbol in symbols:
        decides_as_it_walked(quick, opened, walked, name, symbol, wanted)


def decides_as_it_walked(quick, opened, walked, name, symbol, wanted):
    start, records = walked
    bars, (since, record), arm = quick.universe.bars[symbol], records[name][symbol], opened(name)
    first = start[symbol]
    asked = rows_to_ask(record, wanted)
    action = not np.isnan(record[0, 4])
    if arm.remembers and wanted < MANY:
        asked = [row for row in asked if since[row] <= REMEMBERED]
    for row in asked:
        t, told = since[row], record[row]
        known = bars.iloc[: first + t + 1]
        if t <= WALKED:
            same(arm.decide(known, symbol=symbol, since=bars.index[first]), told, action, FACTORS[symbol])
        equity, position, left = told[:3]
        now = {"equity": equity, "position": position, "day_trades_left": int(left), "peak_equity": told[5]}
        same(arm.decide(known, symbol=symbol, since=bars.index[first], **now), told, action, FACTORS[symbol])
    assert np.abs(record[asked, 3]).max() > 1.0 or not np.abs(record[:, 3]).any()


# A policy's scheme, and the bars after which it is asked.
SCHEMES = {
    "levels": trading.Levels(kind="levels", levels=[0.05, 0.1, 0.2]),
    "bsh": trading.BSH(kind="bsh"),
    "legacy3": trading.Legacy3(kind="legacy3", encoding="signed"),
    "sizing13": trading.Sizing(kind="sizing13", close_action=True),
    "simple": trading.Simple(kind="simple"),
    "size_by_leverage25": trading.SizeByLeverage25(kind="size_by_leverage25"),
    "managed_risk": trading.ManagedRisk(kind="managed_risk"),
    "manage_inventory": trading.ManageInventory(kind="manage_inventory"),
    "multiples_of": MultiplesOf(kind="multiples_of", base={"kind": "atr"}, multiples=[0.5, 1.0, 1.5]),
}
SHORT, EARLY = 80, 5


def short_walk(quick, agent, early, decisions=None):
    """A policy over SHORT bars of BTCUSDT's test, from `early` bars before a trade on: (first row of the symbol, its
    decisions)."""
    market, fold = quick.market.to("cpu", torch.float64), quick.folds["rolling"][0]
    offset, test = market.first_row[market.symbols.index(SYMBOLS[0])], fold.test[SYMBOLS[0]].start
    first = test + int(market.entry[offset + test + EARLY :].nonzero()[0]) + EARLY - early
    row = offset + first
    key = PathKey("ppo", SYMBOLS[0], 0, SEED, row, SHORT, confidence_column(fold))
    # A policy by itself is matched to nothing.
    recorder = Recorder(policies_sizer(market, "ppo", [key], [fold], {(0, SEED): agent}), torch.ones(1).double())
    world = replace(agent.world, rules=agent.rules, decisions=decisions or agent.world.decisions)
    walk(market, [key], recorder, world, follows_signal=agent.follows_signal)
    return first, recorder.path(0, row, SHORT)


@pytest.mark.parametrize("kind", SCHEMES)
def test_a_policy_of_any_scheme_decides_as_it_walked(quick, kind):
    job = replace(quick.job("masked", seed=SEED), scheme=SCHEMES[kind])
    agent = quick.train_together([job], iterations=1, initial_hold_prob=0.01)[0].agent
    first, (since, record) = short_walk(quick, agent, EARLY)
    bars, arm = quick.universe.bars[SYMBOLS[0]], policy_arm(agent)
    for row in rows_to_ask(record, 6):
        said = arm.decide(bars.iloc[: first + since[row] + 1], symbol=SYMBOLS[0], since=bars.index[first])
        same(said, record[row], action=True)
    assert np.abs(record[:, 3]).max() > 1.0


def test_an_account_of_two_symbols_decides_as_it_walked(quick, request):
    """At closes where one of them has no bar as well; from the bars of each alone."""
    scheme = trading.Simplex(kind="simplex", symbols=SYMBOLS)
    job = replace(quick.job("masked", seed=SEED), scheme=scheme)
    agent = quick.train_together([job], iterations=1, initial_hold_prob=0.01)[0].agent
    market = join_market(quick.market.to("cpu", torch.float64), SYMBOLS)
    fold = join_fold(quick.folds["rolling"][0], quick.market, market)
    first = fold.test[market.symbols[0]].start
    key = PathKey("pair", market.symbols[0], 0, SEED, first, BARS, confidence_column(fold))
    recorder = Recorder(
        policies_sizer(market, "pair", [key], [fold], {(0, SEED): agent}), torch.ones(1).double(), several=True
    )
    walk(market, [key], recorder, replace(agent.world, rules=agent.rules), follows_signal=False)
    (since, records), arm, times = recorder.path(0, first, BARS), policy_arm(agent), market.times
    held_at = {
        int(rows[0]) - first: held[:, 0].tolist() for rows, held in zip(recorder.asked, recorder.held, strict=True)
    }
    gap = int((market.tape.column("traded")[first + since, 1] == 0).nonzero()[0])
    wanted = request.config.getoption("--decide-rows")
    asked = range(len(since)) if wanted >= BARS else sorted({0, 1, gap, gap + 1, gap + 2, len(since) - 9})
    for row in asked:
        t = int(since[row])
        known = {symbol: quick.universe.bars[symbol].loc[: times[first + t]] for symbol in SYMBOLS}
        equity, position, left, dollars, chosen, peak, *each = records[row]
        held = held_at[t]
        now = {"equity": equity, "position": dict(zip(SYMBOLS, held, strict=True)), "day_trades_left": int(left)}
        for own in [now] + ([{}] if t <= WALKED else []):
            said = arm.decide(known, since=times[first], **own)
            same(said, (equity, position, left, dollars, chosen, peak), action=True)
            assert list(said.by_symbol) == list(SYMBOLS)
            assert np.abs(np.array(list(said.by_symbol.values())) - each).max() < 0.005
    assert np.abs(records[:, 6:]).max(axis=0).min() > 1.0


@pytest.mark.parametrize("decisions", [Decisions(every="bar", count=3), Decisions(every="hour", count=4)])
def test_between_the_clocks_closes_nothing_is_decided(quick, agents, decisions):
    agent = replace(agents["free"], world=replace(agents["free"].world, decisions=decisions))
    first, (since, record) = short_walk(quick, agent, EARLY, decisions)
    bars, arm, decided = quick.universe.bars[SYMBOLS[0]], policy_arm(agent), since.tolist()
    for t in range(9):
        said = arm.decide(bars.iloc[: first + t + 1], symbol=SYMBOLS[0], since=bars.index[first])
        assert said.decides == (t in decided)
        if said.decides:
            same(said, record[decided.index(t)], action=True)
        else:
            assert (said.action, said.dollars, said.probabilities) == (None, 0.0, ())
    assert 1 <= sum(t < 9 for t in decided) <= 4


# Planted faults.


def test_features_of_the_day_before_are_caught(quick, opened, walked, monkeypatch):
    start, records = walked
    (since, record), first = records["vol_target"][SYMBOLS[0]], start[SYMBOLS[0]]
    entry = int(np.flatnonzero(np.abs(record[:, 3]) > 0.005)[0])
    bars, factor = quick.universe.bars[SYMBOLS[0]], FACTORS[SYMBOLS[0]]
    known, asked = bars.iloc[: first + since[entry] + 1], {"symbol": SYMBOLS[0], "since": bars.index[first]}
    same(opened("vol_target").decide(known, **asked), record[entry], action=False, factor=factor)
    true = history.compute_features

    def late(*arguments):
        table = true(*arguments)
        return table.assign(
            **{name: table[name].shift(DAY_BARS) for name in table.columns if table[name].dtype == float}
        )

    monkeypatch.setattr(history, "compute_features", late)
    with pytest.raises(AssertionError):
        same(opened("vol_target").decide(known, **asked), record[entry], action=False, factor=factor)


def test_joining_a_trade_under_way_is_caught(quick):
    job = replace(quick.job("masked", seed=SEED), scheme=SCHEMES["levels"])
    agent = quick.train_together([job], iterations=1)[0].agent
    agent = replace(agent, world=replace(agent.world, decisions=Decisions(every="bar")))
    first, (_, record) = short_walk(quick, agent, -1)
    known, arm = quick.universe.bars[SYMBOLS[0]].iloc[: first + 1], policy_arm(agent)
    same(arm.decide(known, symbol=SYMBOLS[0], since=known.index[-1]), record[0], action=True)
    own = {"equity": agent.world.account.initial_equity, "position": 0.0}
    same(arm.decide(known, symbol=SYMBOLS[0], since=known.index[-1], **own), record[0], action=True)
    with pytest.raises(AssertionError):
        same(arm.decide(known, symbol=SYMBOLS[0], since=known.index[-3], **own), record[0], action=True)
