"""The clock of decisions: which rows decide, known at their close, whatever comes later."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from sizewise.dataset.clock import decision_rows
from sizewise.dataset.market_tensor import Market
from sizewise.params.trading.decisions import Decisions

from ...hand_market import make_market

FLAT = [0] * 12
# A trade from row 2, another from row 5 on the other side, and one from row 8 that follows at once on the same side.
SIGNAL = [0, 0, 1, 1, 1, -1, -1, -1, -1, 0, 0, 0]
ENTRIES = [2, 5, 8]


def clock(every: str | tuple[str, int]) -> Decisions:
    """That of a name, or of a name and a count."""
    name, count = every if isinstance(every, tuple) else (every, 1)
    return Decisions(every=name, count=count)


def market(
    direction: list[int] = FLAT, *, symbols: int = 1, entries: list[int] | None = None, **tape: object
) -> Market:
    total = len(direction) * symbols
    entry = np.zeros(total, dtype=bool)
    entry[entries or []] = True
    made = make_market(
        len(direction), symbols=symbols, direction=np.tile(np.array(direction, dtype=np.int8), symbols), entry=entry
    )
    return replace(made, tape=made.tape.changed(**tape)) if tape else made


def at(times: list[str]) -> Market:
    """A market of one symbol whose bars begin at these times."""
    made = market([0] * len(times))
    return replace(made, tape=replace(made.tape, times=pd.DatetimeIndex(times, tz="UTC")))


def rows(where: Market, every: object, *, follows_signal: bool = False) -> list[int]:
    chosen = decision_rows(where, clock(every), follows_signal=follows_signal)
    assert chosen.dtype == torch.bool
    assert chosen.shape == where.direction.shape
    return chosen.nonzero().flatten().tolist()


@pytest.mark.parametrize("follows_signal", [True, False])
def test_every_bar_is_no_clock(follows_signal):
    assert decision_rows(market(), Decisions(), follows_signal=follows_signal) is None
    assert decision_rows(market(), Decisions(every="bar", count=1), follows_signal=follows_signal) is None


def test_so_many_bars_are_counted_from_each_symbols_first():
    # Five by five, and the last row of a symbol whatever the count; the next symbol counts anew.
    assert rows(market(symbols=2), ("bar", 5)) == [4, 9, 11, 16, 21, 23]


def test_hours_are_the_last_close_before_each_multiple():
    times = ["2021-01-01 22:00", "2021-01-01 23:00", "2021-01-02 00:00", "2021-01-02 03:00", "2021-01-02 04:00"]
    assert rows(at(times), ("hour", 4)) == [1, 3, 4]


def test_a_multiple_without_a_bar_is_decided_at_the_close_before_it():
    # A weekend between: the last bar of Friday decides for all that it leaves out.
    times = ["2021-01-01 20:00", "2021-01-01 21:00", "2021-01-04 01:00", "2021-01-04 02:00", "2021-01-04 08:00"]
    assert rows(at(times), ("hour", 24)) == [1, 4]


def test_an_hour_of_quarters_is_decided_at_its_last():
    times = ["2021-01-01 00:00", "2021-01-01 00:15", "2021-01-01 00:30", "2021-01-01 00:45", "2021-01-01 01:00"]
    assert rows(at(times), ("hour", 1)) == [3, 4]


def test_a_session_is_decided_at_its_last_close():
    session = torch.tensor([0.0, 0, 0, 1, 1, 3, 3, 3, 4, 4, 4, 4])[:, None].double()
    assert rows(market(session=session), "session") == [2, 4, 7, 11]


def test_entries_are_where_trades_begin():
    assert rows(market(SIGNAL, entries=ENTRIES), "entry") == [2, 5, 8, 11]


@pytest.mark.parametrize(
    ("every", "expected"),
    [
        # Entries, exits and flips always: 2, 5, 8, 9. Multiples only while a trade is on.
        ("entry", [2, 5, 8, 9, 11]),
        (("bar", 2), [2, 3, 5, 7, 8, 9, 11]),
        (("bar", 11), [2, 5, 8, 9, 11]),
    ],
)
def test_what_follows_a_signal_decides_where_it_changes_and_while_it_is_on(every, expected):
    assert rows(market(SIGNAL, entries=ENTRIES), every, follows_signal=True) == expected


def test_the_last_row_of_every_symbol_decides():
    assert rows(market(symbols=3), "entry") == [11, 23, 35]
    assert rows(market(symbols=3), "entry", follows_signal=True) == [11, 23, 35]


@pytest.mark.parametrize("follows_signal", [True, False])
@pytest.mark.parametrize("every", ["entry", "session", ("bar", 3), ("hour", 3)])
@pytest.mark.parametrize("cut", [3, 6, 10])
def test_a_clock_is_known_at_the_close(every, cut, follows_signal):
    """What the market does after a row changes nothing up to it; the calendar, which is known, stays."""
    sound = market(SIGNAL, entries=ENTRIES, session=torch.arange(12).div(5, rounding_mode="floor")[:, None].double())
    direction, entry = sound.direction.clone(), sound.entry.clone()
    direction[cut + 1 :], entry[cut + 1 :] = 1 - direction[cut + 1 :].abs(), ~entry[cut + 1 :]
    prices = sound.tape.column("close").clone()
    prices[cut + 1 :] *= 3.0
    poisoned = replace(sound, direction=direction, entry=entry, tape=sound.tape.changed(close=prices))
    before, after = (decision_rows(there, clock(every), follows_signal=follows_signal) for there in (sound, poisoned))
    assert torch.equal(before[: cut + 1], after[: cut + 1])
    if every == "entry" and cut < 9:
        assert not torch.equal(before, after)
