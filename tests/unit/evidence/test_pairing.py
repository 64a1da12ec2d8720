"""What two ledgers must share, and what voids their comparison: every guard fires, and sound ledgers pass."""

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import LedgerError
from sizewise.evidence.pairing import check_pair, check_same_seeds, check_signals, find_breaches, open_ledger

BARS = 12


def ledger(*, seeds=(1, 2), symbols=("A", "B"), folds=(0, 1), rng: int = 0) -> pd.DataFrame:
    """Hourly equity, each fold after the one before."""
    draw, parts = np.random.default_rng(rng), []
    for symbol in symbols:
        for fold in folds:
            times = pd.date_range("2020-01-01", periods=BARS, freq="h", tz="UTC") + pd.Timedelta(days=fold)
            for seed in seeds:
                equity = 1000.0 * np.exp(np.cumsum(draw.normal(0.0, 0.01, BARS)))
                values = {"symbol": symbol, "fold": fold, "seed": seed, "timestamp": times, "equity": equity}
                parts.append(pd.DataFrame(values))
    return pd.concat(parts, ignore_index=True)


def path(frame: pd.DataFrame, symbol: str, fold: int, seed: int) -> pd.Series:
    return (frame["symbol"] == symbol) & (frame["fold"] == fold) & (frame["seed"] == seed)


def refusal(function, *args) -> str:
    with pytest.raises(LedgerError) as caught:
        function(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def pair(a: pd.DataFrame, b: pd.DataFrame) -> None:
    check_pair(open_ledger(a, "first"), open_ledger(b, "second"))


def test_rows_are_put_in_order():
    frame = ledger()
    found = open_ledger(frame.sample(frac=1.0, random_state=1), "arm")
    pd.testing.assert_frame_equal(found.rows, frame)
    assert list(found.paths) == [("A", 0), ("A", 1), ("B", 0), ("B", 1)]
    assert found.paths["B", 1] == {1: slice(72, 84), 2: slice(84, 96)}
    assert found.seeds == {1, 2}


def test_an_arm_is_named_by_its_column():
    assert open_ledger(ledger().assign(arm="ppo"), "first").name == "ppo"
    assert open_ledger(ledger().assign(arm=np.resize(["x", "y"], 96)), "first").name == "first"


@pytest.mark.parametrize("equity", [[1.0, 2.0], None, np.ones(3)])
def test_what_is_no_ledger_is_refused(equity):
    with pytest.raises(LedgerError, match=r"first arm: a .* is no equity: give a series, or a frame of paths"):
        open_ledger(equity, "first arm")


def test_an_empty_ledger_is_refused():
    assert refusal(open_ledger, ledger().iloc[:0], "first").startswith("first: the ledger has no rows")


def test_a_seed_without_a_path_is_named():
    frame = ledger()
    assert refusal(open_ledger, frame[~path(frame, "B", 1, 2)], "ppo") == (
        "ppo: seed 2 lacks B in fold 1, which seed 1 has: compare ledgers of one walk-forward run, all seeds"
    )


def test_a_seed_without_a_bar_is_named():
    """The other seed still has the bar, so that the set of bars is whole: the average over seeds would be silent."""
    frame = ledger()
    lost = path(frame, "A", 1, 2) & (frame["timestamp"] == frame["timestamp"][path(frame, "A", 1, 2)].max())
    assert "ppo: seeds 1 and 2 cover different bars of A in fold 1" in refusal(open_ledger, frame[~lost], "ppo")


def test_a_bar_that_stands_twice_is_named():
    frame = ledger(seeds=(1,))
    twice = pd.concat([frame, frame[path(frame, "B", 0, 1)].iloc[[3]]], ignore_index=True)
    assert refusal(open_ledger, twice, "ppo") == "ppo: B in fold 0, seed 1: bar 2020-01-01 03:00:00+00:00 stands twice"


def test_arms_that_share_all_pass():
    pair(ledger(), ledger(rng=1))
    pair(ledger(), ledger(seeds=(0,), rng=1))


def test_a_missing_fold_is_named():
    whole, part = ledger(), ledger(folds=(0,))
    assert "second lacks A in fold 1" in refusal(pair, whole, part)
    assert "first lacks A in fold 1" in refusal(pair, part, whole)
    assert "first lacks B in fold 0" in refusal(pair, ledger(symbols=("A",)), whole)


def test_different_bars_are_named():
    a, b = ledger(), ledger()
    b.loc[b["symbol"] == "B", "timestamp"] += pd.Timedelta(minutes=1)
    assert "different bars of B in fold 0" in refusal(pair, a, b)
    last = a["timestamp"] == a["timestamp"].max()
    assert "different bars of A in fold 1" in refusal(pair, a, a[~last])


def test_a_missing_seed_is_named():
    def seeds(*numbers: int):
        return open_ledger(ledger(seeds=numbers), f"arm {numbers}")

    check_same_seeds(seeds(1, 2), seeds(2, 1))
    check_same_seeds(seeds(1, 2, 3), seeds(0))
    check_same_seeds(seeds(7), seeds(0))
    assert "arm (1, 2) lacks seed 3" in refusal(check_same_seeds, seeds(1, 2, 3), seeds(1, 2))
    assert "arm (1, 2) lacks seed 3" in refusal(check_same_seeds, seeds(1, 2), seeds(1, 2, 3))


# Signals.

HOURS = pd.date_range("2020-01-01", periods=20, freq="h", tz="UTC")


def trades(*rows: tuple[str, int, int, int], symbol: str = "A") -> pd.DataFrame:
    """(decision, side, entry hour, exit hour) of fold 0."""
    return pd.DataFrame(
        {
            "symbol": symbol,
            "fold": 0,
            "seed": 1,
            "decision_id": [row[0] for row in rows],
            "side": [row[1] for row in rows],
            "entry_time": [HOURS[row[2]] for row in rows],
            "exit_time": [HOURS[row[3]] for row in rows],
        }
    )


SIGNAL = trades(("d1", 1, 1, 5), ("d2", -1, 5, 9), ("d3", 1, 12, 15))


@pytest.mark.parametrize(
    "other",
    [
        trades(("d1", 1, 1, 5)),
        trades(("late", 1, 3, 5), ("d2", -1, 5, 9)),
        trades(("cut", 1, 1, 2), ("again", 1, 3, 5), ("between", -1, 9, 12)),
        trades(("d1", -1, 1, 5), symbol="B"),
        SIGNAL.iloc[:0],
    ],
    ids=["fewer", "entered later", "cut in two, and a trade where the other is flat", "another symbol", "none"],
)
def test_sizing_one_signal_passes(other):
    check_signals(SIGNAL, other)
    check_signals(other, SIGNAL)


def test_another_side_of_a_decision_is_named():
    text = refusal(check_signals, SIGNAL, trades(("d2", 1, 5, 9)))
    assert "they took opposite sides of d2 in fold 0: compare arms that size one signal" in text


@pytest.mark.parametrize(("side", "entry", "leave"), [(-1, 0, 2), (-1, 2, 3), (-1, 4, 5), (-1, 0, 6), (1, 8, 10)])
def test_holding_against_the_other_arm_is_named(side, entry, leave):
    """A rotated signal shares no decision with its original, and still stands against it."""
    odd = trades(("other", side, entry, leave))
    assert "in A fold 0 one holds against the other's trade entered" in refusal(check_signals, SIGNAL, odd)
    assert "one holds against the other" in refusal(check_signals, odd, SIGNAL)


def test_a_missing_column_of_trades_is_named():
    assert "trades: column 'side' is missing" in refusal(check_signals, SIGNAL, SIGNAL.drop(columns="side"))


# Breaches.


def breaches(frame: pd.DataFrame, closed: pd.DataFrame | None = None, ruin_frac: float = 0.10) -> list[str]:
    return find_breaches(open_ledger(frame, "ppo"), closed, ruin_frac)


def test_a_sound_ledger_has_none():
    assert breaches(ledger()) == []
    assert breaches(ledger(), SIGNAL) == []


def test_ruin_is_named():
    frame = ledger()
    for fold, seed in ((1, 1), (0, 2)):
        rows = frame.index[path(frame, "B", fold, seed)]
        frame.loc[rows[4], "equity"] = 0.10 * frame.loc[rows[0], "equity"]
    assert breaches(frame) == ["ppo falls to 10% of its start or below in 2 of 8 paths (first B, fold 0, seed 2)"]
    assert breaches(frame, ruin_frac=0.09) == []


def stopped(still: int) -> pd.DataFrame:
    """One path stands still over its last `still` bars."""
    frame = ledger()
    rows = frame.index[path(frame, "A", 0, 2)]
    frame.loc[rows[-still:], "equity"] = 900.0
    return frame


FROZEN = ["the equity of ppo stands still while it holds a position in 1 of 8 paths (first A, fold 0, seed 2)"]


def test_a_path_that_stands_still_is_not_said_to_hold_what_nobody_saw():
    still = "the equity of ppo stands still in 1 of 8 paths (first A, fold 0, seed 2)"
    assert breaches(stopped(6)) == [f"{still}; no positions or trades tell whether it held one"]
    assert breaches(stopped(5)) == []


def test_a_series_has_no_name_for_its_path():
    rows = stopped(6)
    one = rows[path(rows, "A", 0, 2)].set_index("timestamp")["equity"]
    assert breaches(one) == ["the equity of ppo stands still; no positions or trades tell whether it held one"]
    ruined = one.where(one.index < one.index[8], 1.0)
    assert breaches(ruined) == ["ppo falls to 10% of its start or below"]


def test_a_path_that_holds_nothing_is_not_frozen():
    frame = stopped(6)
    rows = frame.index[path(frame, "A", 0, 2)]
    flat = frame.assign(position_frac=1.0)
    flat.loc[rows[-6:], "position_frac"] = 0.0
    assert breaches(flat) == []
    # A row may be a day, in the course of which the position was left.
    flat.loc[rows[-6], "position_frac"] = 0.1
    assert breaches(flat) == []
    flat.loc[rows[-3], "position_frac"] = 0.1
    assert breaches(flat) == FROZEN


def test_trades_tell_whether_a_position_was_held():
    frame = stopped(6)
    # A row may be a day: a trade that left in the course of the first that stands still is gone by the next.
    ended, within, held = (SIGNAL.iloc[:1].assign(seed=2, exit_time=HOURS[hour]) for hour in (6, 7, 8))
    assert breaches(frame, ended) == []
    assert breaches(frame, within) == []
    assert breaches(frame, held) == FROZEN
    assert breaches(frame, held.assign(seed=1)) == []


def test_a_path_that_never_moves_is_frozen_if_it_traded():
    assert breaches(stopped(BARS)) == []
    assert breaches(stopped(BARS), SIGNAL.assign(seed=2)) == FROZEN
    assert breaches(stopped(BARS), SIGNAL.assign(seed=1)) == []
