"""What the venue did on a walk: named by path and time, written beside the ledger, and read back."""

import pandas as pd
import pytest
import torch

from sizewise.base.errors import DataMissingError
from sizewise.ledgers.columns import EVENT_COLUMNS
from sizewise.ledgers.files import LedgerWriter, read_events
from sizewise.params.arms import AtrArm, ConstantArm
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import Rules
from sizewise.params.trading.world import World
from sizewise.trading.broker.orders import Flag
from sizewise.walkforward.frames import events_frame, frames
from sizewise.walkforward.walk import run_rule

# A fifth of 15 is no order on the first symbol's venue, which wants 10; the other's has no minimum.
FOREX = "EURUSD_1h"
POOR = World(Account(initial_equity=15.0), Rules())
ATR, STILL = AtrArm(kind="atr"), ConstantArm(kind="constant", size_frac=0.0)


@pytest.fixture(scope="module")
def market(quick):
    return quick.market.to("cpu", torch.float64)


@pytest.fixture(scope="module")
def run(quick, market):
    return run_rule(market, "atr", ATR, quick.folds["rolling"], POOR)


@pytest.fixture(scope="module")
def events(run, market) -> pd.DataFrame:
    return events_frame(run, market)


def test_an_event_has_its_path_and_its_time(run, market, events):
    assert list(events.columns) == list(EVENT_COLUMNS)
    assert len(events) == len(run.ledger.events) > 20
    for (fold, symbol), found in events.groupby(["fold", "symbol"]):
        (key,) = (key for key in run.keys if (key.fold, key.symbol) == (fold, symbol))
        rows = slice(key.start_row, key.start_row + key.length)
        assert found["timestamp"].isin(market.times[rows]).all()
        assert found["timestamp"].is_monotonic_increasing
    assert set(events["arm"]) == {"atr"}


def test_an_order_below_the_minimum_is_refused_at_the_bar_that_would_have_filled_it(run, market, events):
    for path, key in enumerate(run.keys):
        mine = run.ledger.events[run.ledger.events["path"] == path]
        if key.symbol == FOREX:
            assert mine.empty
            continue
        decided = key.start_row + mine["step"].to_numpy() - 1
        assert set(mine["event"]) == {"below_min"}
        assert bool(market.entry[decided].all())
        # Every entry but those that the path's end takes back.
        inside = market.entry[key.start_row : key.start_row + key.length - 2]
        assert len(mine) == int(inside.sum())


def test_events_are_named_like_the_venues_flags(events):
    assert set(events["event"]) <= {str(flag.name).lower() for flag in Flag}


def test_what_is_written_is_read(run, market, events, tmp_path):
    writer = LedgerWriter(tmp_path)
    for equity, trades in frames(run, market, stop_atr=1.5):
        writer.add(equity, trades)
    writer.add_events(events)
    writer.add_events(events.assign(arm="again"))
    assert list(tmp_path.iterdir()) == []
    writer.close()
    found = read_events(tmp_path)
    expected = pd.concat([events, events.assign(arm="again")], ignore_index=True)
    assert list(found["arm"].cat.categories) == ["again", "atr"]
    typed = {name: found[name].astype(object) for name in ("arm", "symbol", "event")}
    pd.testing.assert_frame_equal(found.assign(**typed), expected, check_dtype=False)


def test_a_ledger_without_an_event_has_its_columns(quick, market, tmp_path):
    still = run_rule(market, "still", STILL, quick.folds["rolling"][:1], World())
    assert events_frame(still, market).empty
    writer = LedgerWriter(tmp_path)
    for equity, trades in frames(still, market, stop_atr=1.5):
        writer.add(equity, trades)
    writer.add_events(events_frame(still, market))
    writer.close()
    assert list(read_events(tmp_path).columns) == list(EVENT_COLUMNS)
    assert read_events(tmp_path).empty


def test_missing_events_are_named(tmp_path):
    with pytest.raises(
        DataMissingError, match=r"events\.parquet is missing from artifacts/ledger: run `dvc repro walk"
    ):
        read_events(tmp_path)
