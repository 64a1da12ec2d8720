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


def written(field, folder: Path) -> tuple[dict[str, bytes], list[pd.DataFrame]]:
    writer = LedgerWriter(folder)
    fits = writing.walk_into(writer, field, NAMES, stop_atr=ATR_STOP)
    writer.close()
    return {name: (folder / name).read_bytes() for name in (EQUITY, DAILY, TRADES, EVENTS)}, fits


def test_several_processes_write_what_one_does(market, tmp_path, monkeypatch):
    field = hand_field(market)
    field.ready(NAMES)
    assert len(field.batches(NAMES)) > 1
    alone, fits = written(field, tmp_path / "alone")
    monkeypatch.setattr(writing, "APART", 0)
    monkeypatch.setattr(writing, "cores", lambda: 2)
    apart, others = written(hand_field(market), tmp_path / "apart")
    assert apart == alone
    assert len(fits) == len(others) > 0
    for own, other in zip(fits, others, strict=True):
        pd.testing.assert_frame_equal(own, other, check_exact=True)


def test_rows_of_a_batch_are_left_nowhere(market, tmp_path):
    written(hand_field(market), tmp_path / "ledger")
    assert sorted(path.name for path in (tmp_path / "ledger").iterdir()) == sorted([EQUITY, DAILY, TRADES, EVENTS])


def test_nor_are_they_where_a_walk_stops(market, tmp_path):
    field = hand_field(market)
    with pytest.raises(KeyError, match="nobody"):
        writing.walk_into(LedgerWriter(tmp_path), field, ["nobody"], stop_atr=ATR_STOP)

    def stopped(batch):
        raise LedgerError("stopped")

    field.walk_batch = stopped
    with pytest.raises(LedgerError, match="stopped"):
        writing.walk_into(LedgerWriter(tmp_path), field, NAMES, stop_atr=ATR_STOP)
    assert not list(tmp_path.iterdir())


def test_batches_hold_every_arm_in_order(market):
    field = hand_field(market)
    named = [name for batch in field.batches(NAMES) for name, _ in batch]
    assert list(dict.fromkeys(named)) == list(NAMES)


@pytest.mark.parametrize("name", ["atr"])
def test_what_is_written_is_what_the_field_walks(market, tmp_path, name):
    files, _ = written(hand_field(market), tmp_path)
    assert files[EQUITY]
    equity = pd.read_parquet(tmp_path / EQUITY)
    (run,) = hand_field(market).walk_all([name])
    mine = equity[equity["arm"] == name]
    walked = [run.ledger.equity[: key.length, path].numpy() for path, key in enumerate(run.keys)]
    assert mine["equity"].tolist() == [value for one in walked for value in one.tolist()]
