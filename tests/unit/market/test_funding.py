"""Real funding rates: what each bar is charged, and what is refused."""

import numpy as np
import pandas as pd
import pytest

import sizewise as sw
from sizewise.base.errors import BarError, DataMissingError
from sizewise.market.bars import validate_bars
from sizewise.market.costs import Costs, charged, instrument_rates
from sizewise.market.funding import with_funding
from sizewise.market.tape import COLUMNS, build_tape

PERPETUAL = sw.plain_instrument("perpetual", 60, "USDT", "binance", funding="column")


@pytest.fixture
def hours(make_bars) -> pd.DataFrame:
    """Two days of hourly bars."""
    return make_bars(48, seed=2)


def rates(times: pd.DatetimeIndex, *values: float) -> pd.Series:
    return pd.Series(np.resize(values, len(times)), index=times)


def eight_hourly(bars: pd.DataFrame) -> pd.DatetimeIndex:
    return pd.date_range(bars.index[0], bars.index[-1], freq="8h")


def test_a_rate_is_charged_in_the_bar_in_which_it_falls_due(hours):
    due = eight_hourly(hours)
    found = with_funding(hours, rates(due, 1e-4, -2e-4))["funding"]
    # What falls due at the first bar's start is charged to nobody: nothing was held before.
    assert found[found != 0.0].to_dict() == dict(zip(due[1:], [-2e-4, 1e-4, -2e-4, 1e-4, -2e-4], strict=True))
    # A time within a bar is charged at the next start, and a hole's rates add up.
    late = with_funding(hours.drop(hours.index[8:18]), rates(due + pd.Timedelta(minutes=1), 1e-4))["funding"]
    assert late[late != 0.0].tolist() == pytest.approx([1e-4, 2e-4, 1e-4, 1e-4, 1e-4])


@pytest.mark.parametrize("unit", ["ms", "s", "text"])
def test_a_file_is_read(hours, unit, tmp_path):
    due = eight_hourly(hours)
    times = {"ms": due.as_unit("ms").asi8, "s": due.as_unit("s").asi8, "text": due.strftime("%Y-%m-%d %H:%M")}[unit]
    table = pd.DataFrame({"symbol": "X", "fundingTime": times, "fundingRate": 1e-4})
    table.to_csv(tmp_path / "rates.csv", index=False)
    assert with_funding(hours, tmp_path / "rates.csv").equals(with_funding(hours, rates(due, 1e-4)))
    renamed = table.set_axis(["symbol", "timestamp", "rate"], axis=1)
    renamed.to_parquet(tmp_path / "rates.parquet")
    assert with_funding(hours, tmp_path / "rates.parquet").equals(with_funding(hours, rates(due, 1e-4)))


def test_the_tape_charges_the_column_and_other_costs_their_own(hours):
    bars = validate_bars(with_funding(hours, rates(eight_hourly(hours), 3e-4, -1e-4)), source="X", instrument=PERPETUAL)

    def funding(instrument) -> np.ndarray:
        return build_tape({"X": bars}, {"X": instrument}).table[:, 0, COLUMNS.index("funding")].numpy()

    assert funding(PERPETUAL).tolist() == bars["funding"].tolist()
    assert funding(PERPETUAL)[8] == -1e-4
    constant = sw.plain_instrument("perpetual", 60, "USDT", "binance")
    assert funding(constant)[8] == pytest.approx(1e-4)
    assert not funding(charged(PERPETUAL, Costs.zero())).any()
    # Of sessions, as the calibration draws them.
    days = pd.DatetimeIndex([bars.index[0], bars.index[24]])
    assert instrument_rates(PERPETUAL, days, bars)[:, 3].tolist() == pytest.approx([0.0, -1e-4 + 3e-4 - 1e-4])


def test_bars_without_the_column_are_refused(hours):
    with pytest.raises(BarError, match=r"X: no column 'funding', which is its instrument's funding: add it"):
        validate_bars(hours, source="X", instrument=PERPETUAL)
    with pytest.raises(BarError, match="bars without a column 'funding'"):
        build_tape({"X": hours}, {"X": PERPETUAL})
    with pytest.raises(BarError, match=r"X: row 3 .*: funding nan is not finite"):
        validate_bars(hours.assign(funding=np.where(np.arange(48) == 3, np.nan, 0.0)), source="X")


REFUSED = {
    "percent": (lambda due: rates(due, 1e-4, 0.1), "row 1: rate 0.1 is beyond 0.05: write fractions"),
    "a hole": (lambda due: rates(due, 1e-4).iloc[[0]], "no rate for"),
    "nan": (lambda due: rates(due, np.nan, 1e-4), "row 0 has no finite rate"),
    "naive": (lambda due: rates(due.tz_localize(None), 1e-4), "the index is no UTC time"),
    "twice": (lambda due: pd.concat([rates(due, 1e-4)] * 2), "times repeat or run backwards"),
    "no columns": (lambda due: pd.DataFrame({"a": [1.0]}), "columns a have no time or no rate: name them"),
    "no time": (lambda due: pd.DataFrame({"time": ["soon"], "rate": [1e-4]}), "a time cannot be read"),
    "none": (lambda due: rates(due[:0], 1e-4), "row 0 has no finite rate"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_rates_that_say_nothing_are_refused(case, make_bars):
    bars = make_bars(100, seed=2)
    make, what = REFUSED[case]
    with pytest.raises(BarError) as caught:
        with_funding(bars, make(eight_hourly(bars)))
    assert str(caught.value).startswith(f"funding rates: {what}")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_none_is_refused(hours, tmp_path):
    with pytest.raises(DataMissingError, match=r"none\.csv is missing: check the path"):
        with_funding(hours, tmp_path / "none.csv")
    (tmp_path / "broken.parquet").write_bytes(b"no")
    with pytest.raises(BarError, match=r"broken\.parquet: no readable table"):
        with_funding(hours, tmp_path / "broken.parquet")
    (tmp_path / "empty.csv").write_bytes(b"")
    with pytest.raises(BarError, match=r"empty\.csv: no readable table"):
        with_funding(hours, str(tmp_path / "empty.csv"))
