"""Arms walked into ledgers: the same files from one process and from several, batch by batch."""

from pathlib import Path

import pandas as pd
import pytest

from sizewise.base.errors import LedgerError
from sizewise.ledgers.daily import DAILY
from sizewise.ledgers.files import EQUITY, EVENTS, TRADES, LedgerWriter
from sizewise.walkforward import writing

from .test_risk import hand_field
from .test_risk import market as market

ATR_STOP = 1.5
# Rules of two clocks, so that they are several batches, and one of them with seeds.
NAMES = ("atr", "random", "buy_and_hold", "constant")


# Of a side that is not shared out, in another order.
FEW = ("random", "atr")
FILES = (EQUITY, DAILY, TRADES, EVENTS)


def written(field, folder: Path, beside=None) -> tuple[dict[str, bytes], list[pd.DataFrame], pd.DataFrame]:
    """A field in a folder, and what walks beside it in one within."""
    sides = [writing.Side(field, NAMES, LedgerWriter(folder))]
    sides += [writing.Side(beside, FEW, LedgerWriter(folder / "beside"))] if beside else []
    fits, unmatched = writing.walk_into(sides, stop_atr=ATR_STOP)
    for side in sides:
        side.writer.close()
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.parquet")}, fits, unmatched


@pytest.mark.parametrize("risk", ["declared", None])
def test_several_processes_write_what_one_does(market, tmp_path, monkeypatch, risk):
    given = {} if risk else {"risk": None}
    first, second = hand_field(market, **given), hand_field(market, **given)
    assert len(first.batches(NAMES)) > 1
    alone, fits, unmatched = written(first, tmp_path / "alone", second)
    monkeypatch.setattr(writing, "APART", 0)
    monkeypatch.setattr(writing, "cores", lambda: 2)
    fields = [hand_field(market, **given) for _ in range(2)]
    apart, others, plain = written(fields[0], tmp_path / "apart", fields[1])
    assert set(alone) == {*FILES, *(f"beside/{name}" for name in FILES)}
    assert apart == alone
    pd.testing.assert_frame_equal(plain, unmatched, check_exact=True)
    assert plain.empty == (risk is None)
    assert len(fits) == len(others) > 0
    for own, other in zip(fits, others, strict=True):
        pd.testing.assert_frame_equal(own, other, check_exact=True)
    # Factors are known to who asked, whoever found them.
    for field, names, other in zip(fields, (NAMES, FEW), (first, second), strict=True):
        for name in names:
            assert (field.factors(name) is None) == (risk is None)
            if risk:
                pd.testing.assert_frame_equal(field.factors(name), other.matched(name), check_exact=True)


def test_a_side_writes_what_it_writes_alone(market, tmp_path):
    both, *_ = written(hand_field(market), tmp_path / "both", hand_field(market))
    alone, *_ = written(hand_field(market), tmp_path / "alone")
    assert {name: both[name] for name in alone} == alone
    writer = LedgerWriter(tmp_path / "few")
    writing.walk_into([writing.Side(hand_field(market), FEW, writer)], stop_atr=ATR_STOP)
    writer.close()
    assert {name: (tmp_path / "few" / name).read_bytes() for name in FILES} == {
        name: both[f"beside/{name}"] for name in FILES
    }


@pytest.mark.parametrize("known", [False, True])
def test_the_first_side_is_told_without_its_factors(market, tmp_path, known):
    field = hand_field(market)
    if known:
        field.ready(NAMES)
    _, _, unmatched = written(field, tmp_path)
    assert len(unmatched)
    pd.testing.assert_frame_equal(unmatched, field.unmatched(NAMES), check_exact=True)


def test_rows_of_a_batch_are_left_nowhere(market, tmp_path):
    written(hand_field(market), tmp_path / "ledger")
    assert sorted(path.name for path in (tmp_path / "ledger").iterdir()) == sorted([EQUITY, DAILY, TRADES, EVENTS])


def test_nor_are_they_where_a_walk_stops(market, tmp_path):
    field = hand_field(market)
    with pytest.raises(KeyError, match="nobody"):
        writing.walk_into([writing.Side(field, ["nobody"], LedgerWriter(tmp_path))], stop_atr=ATR_STOP)

    def stopped(batch):
        raise LedgerError("stopped")

    field.walk_batch = stopped
    with pytest.raises(LedgerError, match="stopped"):
        written(field, tmp_path)
    assert not list(tmp_path.iterdir())


def test_batches_hold_every_arm_in_order(market):
    field = hand_field(market)
    named = [name for batch in field.batches(NAMES) for name, _ in batch]
    assert list(dict.fromkeys(named)) == list(NAMES)


@pytest.mark.parametrize("name", ["atr"])
def test_what_is_written_is_what_the_field_walks(market, tmp_path, name):
    files, *_ = written(hand_field(market), tmp_path)
    assert files[EQUITY]
    equity = pd.read_parquet(tmp_path / EQUITY)
    (run,) = hand_field(market).walk_all([name])
    mine = equity[equity["arm"] == name]
    walked = [run.ledger.equity[: key.length, path].numpy() for path, key in enumerate(run.keys)]
    assert mine["equity"].tolist() == [value for one in walked for value in one.tolist()]
