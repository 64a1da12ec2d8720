"""What `decide` says from bars alone is what the walk-forward did: the same account, action and dollars, to the cent.

`--decide-rows` asks at more closes of the 2,000; `make verify` asks at each.
"""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from sizewise.base.hashing import text_bytes
from sizewise.base.paths import write_json
from sizewise.dataset.confidence import confidence_column
from sizewise.learning.ppo.agent import PolicySizer
from sizewise.live import history
from sizewise.live.opening import open_arm, policy_arm
from sizewise.params.arms import MultiplesOf
from sizewise.params.reading import read_params
from sizewise.params.trading.decisions import Decisions
from sizewise.params.trading import trading
from sizewise.sizing.sizers import JoinedSizer
from sizewise.walkforward.field import OPENERS
from sizewise.walkforward.walk import RULE_SEED, PathKey, policies_sizer, walk

from ..conftest import ROOT
from ..unit.conftest import trained_field  # noqa: F401

SYMBOLS = ("BTCUSDT_1h", "EURUSD_1h")
BARS = 2000
SEED = 1
ARMS = [name for name, arm in read_params(ROOT)["arms"].items() if arm["kind"] != "oracle_hindsight"]
# Beyond these a walk up to the asked close is left to `--decide-rows`.
WALKED = 60


@dataclass
class Recorder:
    """A sizer and what it saw and sent, a row a bar: equity, position, day trades left, order (dollars), action."""

    sizer: object

    def __post_init__(self):
        self.uses, self.rows = self.sizer.uses, []

    def orders(self, at):
        sent = self.sizer.orders(at)
        action = torch.full_like(at.equity, torch.nan)
        if isinstance(self.sizer, PolicySizer):
            action = self.sizer.log_prob(at).argmax(-1).double()
        units = sent.market[0] if sent.place is None else sent.market[0] + sent.place.units[0]
        left = at.held.book.day_trades.at(at.bar.session).left()[0]
        self.rows.append(torch.stack([at.equity, at.position, left, units * at.close, action]))
        return sent

    def path(self, number):
        """float64 [bars, 5] of one path."""
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
    """A checkout whose quick profile has been trained."""
    root = tmp_path_factory.mktemp("checkout")
    for name in ("params.yaml", "dvc.yaml", "tests/quick.yaml"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(text_bytes(ROOT / name))
    (root / "data").symlink_to(ROOT / "data")
    artifacts = root / "build" / "quick" / "artifacts"
    shutil.copytree(trained_field.policies, artifacts / "policies")
    models = {name: model.to_json() for name, model in quick.models.items()}
    write_json(artifacts / "features" / "confidence.json", models)
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
    """Bars of a path whose close is asked: the first, where most happens, and the last that no fold's end overrules."""
    orders = record[: BARS - 2, 3]
    happened = np.flatnonzero(np.abs(orders) > 0.005)
    spread = happened[np.linspace(0, len(happened) - 1, min(wanted, len(happened))).astype(int)]
    return sorted({0, *spread.tolist(), *(spread[:1] + 1).tolist(), BARS - 3})


def same(said, record, action):
    """Whether a decision is the record of the same close."""
    equity, position, _, dollars, chosen = record
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
    for t in asked:
        known = bars.iloc[: first + t + 1]
        if t <= WALKED:
            same(arm.decide(known, symbol=symbol, since=bars.index[first]), record[t], action)
        equity, position, left = record[t, :3]
        now = {"equity": equity, "position": position, "day_trades_left": int(left)}
        same(arm.decide(known, symbol=symbol, since=bars.index[first], **now), record[t], action)
    assert np.abs(record[asked, 3]).max() > 1.0 or not np.abs(record[: BARS - 2, 3]).any()
