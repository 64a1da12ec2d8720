"""Ledgers on disk: what is read is what was written, whole or in part."""

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import DataMissingError
from sizewise.dataset.regimes import LABELS
from sizewise.ledgers import files
from sizewise.ledgers.columns import EQUITY_COLUMNS, TRADE_COLUMNS
from sizewise.ledgers.weights import mark_assets

ROWS = 40


def path(arm: str, symbol: str, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    named = {"arm": arm, "symbol": symbol, "fold": np.int16(0), "seed": np.int64(seed)}
    times = pd.date_range("2020-01-01", periods=ROWS, freq="6h", tz="UTC")
    frame = pd.DataFrame({"timestamp": times, "equity": 100.0 + rng.random(ROWS)})
    others = [
        name for name in EQUITY_COLUMNS if name not in (*named, "timestamp", "equity", "regime", "day_trades_left")
    ]
    frame = frame.assign(**named, **{name: rng.normal(size=ROWS) for name in others}, day_trades_left=np.int64(3))
    frame["regime"] = pd.Categorical(np.repeat(list(LABELS)[:2], ROWS // 2), categories=list(LABELS))
    return mark_assets(frame[list(EQUITY_COLUMNS)], {"B1": "B", "B2": "B"})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    # Several row groups, whose categories differ.
    monkeypatch.setattr(files, "GROUP_ROWS", ROWS)
    writer = files.LedgerWriter(tmp_path)
    for seed, (arm, symbol) in enumerate([("ppo", "B1"), ("ppo", "B2"), ("atr", "B1"), ("atr", "B2")]):
        writer.add(path(arm, symbol, seed), pd.DataFrame(columns=list(TRADE_COLUMNS)))
    writer.close()
    return tmp_path


@pytest.mark.parametrize("arms", [None, ["atr"]])
@pytest.mark.parametrize("columns", [EQUITY_COLUMNS, ("equity", "regime", "arm")])
def test_a_ledger_is_read_as_pandas_reads_it(folder, arms, columns):
    filters = None if arms is None else [("arm", "in", arms)]
    whole = pd.read_parquet(folder / files.EQUITY, columns=list(columns), filters=filters)
    found = files.read_equity(folder, columns=columns, arms=arms)
    pd.testing.assert_frame_equal(found, whole, check_exact=True)
    assert found.attrs == whole.attrs == {"assets": {"B1": "B", "B2": "B"}}
    assert len(found) == ROWS * (4 if arms is None else 2)


def test_a_ledger_that_is_not_there_says_what_makes_it(tmp_path):
    with pytest.raises(DataMissingError, match="dvc repro walk_forward"):
        files.read_equity(tmp_path)
