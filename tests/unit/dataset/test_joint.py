"""Several symbols on one clock: what is known of each at every row, and nothing earlier."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from sizewise.base.errors import ConfigError
from sizewise.dataset.features import CONFIDENCE, NAMES
from sizewise.dataset.joint import (
    JointMarket,
    feature_names,
    ground_of,
    join_fold,
    join_market,
    joint_name,
    lives,
    members_of,
)
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Combination, Fold, Slice
from sizewise.market.tape import Tape

from ...hand_market import make_market

ROWS = 60
COLUMN = "confidence_rolling_0"
PAIR = ("S0", "S1")


def gappy(market: Market, gone: dict[int, list[int]]) -> Market:
    """The market without some bars of some symbols, as if they had never been."""
    keep = np.ones(len(market.times), dtype=bool)
    for symbol, rows in gone.items():
        keep[market.first_row[symbol] + np.array(rows)] = False
    rows = torch.from_numpy(np.flatnonzero(keep))
    counts = [int(keep[first : first + n].sum()) for first, n in zip(market.first_row, market.n_rows, strict=True)]
    table = market.tape.table[rows].clone()
    starts = np.cumsum([0, *counts[:-1]]).tolist()
    tape = Tape(market.tape.symbols, tuple(starts), tuple(counts), market.times[keep], table)
    names = ("features", "direction", "entry", "regime", "atr_frac", "annual_vol")
    return Market(
        tape=tape,
        confidence={name: column[rows] for name, column in market.confidence.items()},
        **{name: getattr(market, name)[rows] for name in names},
    )


@pytest.fixture(scope="module")
def market() -> Market:
    """Two symbols of 60 hours; the second lacks hours 10 to 14 and begins at hour 3."""
    rng = np.random.default_rng(7)
    hours = np.full(2 * ROWS, 1 / 24)
    whole = make_market(ROWS, symbols=2, seed=7, elapsed_days=hours)
    features = torch.from_numpy(rng.normal(size=(2 * ROWS, 3)).astype(np.float32))
    shown = {COLUMN: torch.from_numpy(rng.uniform(size=2 * ROWS).astype(np.float32))}
    return gappy(replace(whole, features=features, confidence=shown), {1: [0, 1, 2, 10, 11, 12, 13, 14]})


@pytest.fixture(scope="module")
def joint(market) -> JointMarket:
    return join_market(market, PAIR)


def test_a_row_is_a_time_at_which_one_of_them_has_a_bar(market, joint):
    assert joint.symbols == ("S0+S1",)
    assert joint.times.equals(market.times[:ROWS])
    assert joint.tape.symbols == (PAIR,)
    traded = joint.tape.column("traded")
    assert traded[:, 0].tolist() == [1.0] * ROWS
    assert traded[:, 1].nonzero().flatten().tolist() == [*range(3, 10), *range(15, ROWS)]


def test_a_symbol_without_a_bar_keeps_its_last_price_and_what_was_known(market, joint):
    last = market.first_row[1] + 6  # its row at hour 9
    close, own = joint.tape.column("close")[:, 1], joint.each[1]
    assert (close[9:15] == market.tape.column("close")[last, 0]).all()
    for name in ("open", "high", "low", "last_close"):
        assert (joint.tape.column(name)[10:15, 1] == close[9]).all()
    for name in ("features", "atr_frac", "annual_vol", "direction", "regime"):
        held, known = getattr(own, name)[9:15], getattr(market, name)[last]
        assert all(torch.equal(row, known) for row in held)
    assert (own.confidence[COLUMN][9:15] == market.confidence[COLUMN][last]).all()


def test_before_its_first_bar_nothing_is_known(joint):
    own = joint.each[1]
    assert not own.features[:3].any()
    assert not own.atr_frac[:3].any()
    assert not own.entry[:3].any()
    assert own.features[3].any()


def test_an_entry_counts_once_and_at_its_own_bar(market, joint):
    first, n = market.first_row[1], market.n_rows[1]
    assert int(joint.each[1].entry.sum()) == int(market.entry[first : first + n].sum())
    assert torch.equal(joint.entry, joint.each[0].entry | joint.each[1].entry)


def test_the_account_as_a_whole(joint):
    a, b = joint.each
    assert not joint.direction.any()
    assert torch.equal(joint.atr_frac, (a.atr_frac + b.atr_frac) / 2)
    assert torch.equal(joint.features, torch.cat([a.features, b.features], dim=1))
    assert torch.equal(joint.seen_confidence(COLUMN), torch.stack([a.confidence[COLUMN], b.confidence[COLUMN]], dim=1))
    moved = joint.to("cpu", torch.float32)
    assert moved.dtype == moved.instruments[1].dtype == torch.float32


@pytest.mark.parametrize("cut", [4, 12, 30])
def test_what_comes_later_changes_no_row_before(market, joint, cut):
    time = joint.times[cut]
    later = torch.from_numpy((market.times > time).copy())
    poisoned = replace(
        market,
        features=torch.where(later.unsqueeze(1), 9.0, market.features),
        atr_frac=torch.where(later, 9.0, market.atr_frac),
        entry=market.entry ^ later,
        tape=replace(market.tape, table=torch.where(later.view(-1, 1, 1), 9.0, market.tape.table)),
    )
    found = join_market(poisoned, PAIR)
    for name in ("features", "atr_frac", "entry"):
        assert torch.equal(getattr(found, name)[: cut + 1], getattr(joint, name)[: cut + 1])
        assert not torch.equal(getattr(found, name), getattr(joint, name))
    assert torch.equal(found.tape.column("close")[: cut + 1], joint.tape.column("close")[: cut + 1])


def fold_of(train: dict[str, Slice], test: dict[str, Slice]) -> Fold:
    day = pd.Timestamp("2020-01-01", tz="UTC")
    return Fold("rolling", 0, day, day, train, test)


def test_a_fold_is_where_all_of_them_are(market, joint):
    fold = fold_of({"S0": Slice(1, 30), "S1": Slice(0, 7)}, {"S0": Slice(30, 60), "S1": Slice(20, 50)})
    found = join_fold(fold, market, joint)
    # S1's rows 0 to 6 are the hours 3 to 9; its rows 20 to 49 are the hours 28 to 57.
    assert found.train == {"S0+S1": Slice(3, 10)}
    assert found.test == {"S0+S1": Slice(30, 58)}


def test_a_slice_ends_where_all_of_them_trade(market, joint):
    fold = fold_of({"S0": Slice(1, 14), "S1": Slice(0, 30)}, {"S0": Slice(20, 30), "S1": Slice(20, 30)})
    assert join_fold(fold, market, joint).train == {"S0+S1": Slice(3, 10)}


def test_a_fold_without_one_of_them_is_left_out(market):
    alone = fold_of({"S0": Slice(1, 30)}, {"S0": Slice(30, 60)})
    both = fold_of({"S0": Slice(1, 30), "S1": Slice(0, 20)}, {"S0": Slice(30, 60), "S1": Slice(20, 50)})
    assert not lives(alone, PAIR)
    assert lives(alone, ())
    assert len(ground_of(market, [alone, both], PAIR)[1]) == 1
    with pytest.raises(ConfigError, match="S0 and S1 are live together in no fold"):
        ground_of(market, [alone], PAIR)
    assert ground_of(market, [alone], ()) == (market, [alone])


def test_what_cannot_be_joined_is_refused(market, joint):
    with pytest.raises(ConfigError, match="there are no bars of S2: name some of S0, S1"):
        join_market(market, ("S0", "S2"))
    combination = Combination(0, (0,), pd.Timestamp("2020-01-01", tz="UTC"), {"S0": (), "S1": ()}, {})
    with pytest.raises(ConfigError, match="walked forward only"):
        join_fold(combination, market, joint)


def test_names():
    assert members_of(joint_name(PAIR)) == PAIR
    assert members_of("S0") == ("S0",)
    assert feature_names(()) == NAMES
    names = feature_names(PAIR)
    assert len(names) == len(set(names)) == 2 * len(NAMES)
    assert names[-2:] == (f"S0:{CONFIDENCE}", f"S1:{CONFIDENCE}")
