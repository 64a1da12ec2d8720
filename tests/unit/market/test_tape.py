"""The tape: alignment on UTC, silence, what time costs, and a volatility that knows no later bar."""

import numpy as np
import pandas as pd
import pytest
import torch

from sizewise.base.errors import ConfigError, DataMissingError
from sizewise.market.bars import load_bars
from sizewise.market.costs import BPS, Costs, charged
from sizewise.market.instruments import Funding, Instrument, load_instruments
from sizewise.market.tape import COLUMNS, VOLATILITY_BARS, Bars, Tape, build_tape, chain_tapes, join_tape


@pytest.fixture(scope="module")
def known(root) -> dict[str, Instrument]:
    return load_instruments(root / "data" / "instruments.yaml")


def frame(start: str, closes: list[float], freq: str = "1h") -> pd.DataFrame:
    """Bars whose open is 1 below and whose range is 2 around the close, 10 units each."""
    close = np.array(closes, dtype=float)
    index = pd.date_range(start, periods=len(closes), freq=freq, tz="UTC", name="timestamp")
    columns = {
        "open": close - 1,
        "high": close + 2,
        "low": close - 2,
        "close": close,
        "volume": np.full(len(close), 10.0),
    }
    return pd.DataFrame(columns, index=index)


def column(tape: Tape, name: str, instrument: int = 0) -> list[float]:
    return tape.column(name)[:, instrument].tolist()


def test_rows_are_the_bars(known):
    bars = frame("2020-01-01", [100.0, 101.0, 103.0])
    tape = build_tape({"BTCUSDT_1h": bars}, known)
    assert (tape.symbols, tape.first_row, tape.n_rows, tape.n_instruments) == ((("BTCUSDT_1h",),), (0,), (3,), 1)
    assert (tape.table.shape, tape.table.dtype) == ((3, 1, len(COLUMNS)), torch.float64)
    assert (tape.times == bars.index).all()
    for name in ("open", "high", "low", "close", "volume"):
        assert column(tape, name) == bars[name].tolist()
    # The first row's last close is its own open: nothing is gained before it.
    assert column(tape, "last_close") == [99.0, 100.0, 101.0]
    assert column(tape, "day") == pytest.approx([0.0, 1 / 24, 2 / 24])
    assert column(tape, "traded") == [1.0, 1.0, 1.0]


def test_terms_are_the_instruments_as_fractions(known):
    tape = build_tape({"BTCUSDT_1h": frame("2020-01-01", [100.0, 101.0])}, known)
    expected = {"taker": 10e-4, "maker": 10e-4, "half_spread": 1e-4, "tick": 0.01, "lot": 1e-5, "min_order": 10.0}
    expected |= {"max_leverage": 3.0, "maintenance": 0.10, "penalty": 0.0, "loan": 0.0, "funding": 0.0, "impact": 0.0}
    for name, value in expected.items():
        assert column(tape, name) == pytest.approx([value] * 2), name


# SPY's session begins at 14:30 UTC: two bars of 30 minutes beside the hourly coin, one of them between its bars.
COIN = frame("2020-01-06 13:00", [100.0, 101.0, 102.0, 103.0])
SHARE = frame("2020-01-06 14:30", [300.0, 303.0], "30min")


@pytest.fixture(scope="module")
def both(known) -> Tape:
    return build_tape({"BTCUSDT_1h": COIN, "SPY_5m": SHARE}, known)


def test_two_calendars_are_aligned_on_utc(both):
    assert [f"{time:%H:%M}" for time in both.times] == ["13:00", "14:00", "14:30", "15:00", "16:00"]
    assert column(both, "traded", 0) == [1, 1, 0, 1, 1]
    assert column(both, "traded", 1) == [0, 0, 1, 1, 0]


def test_prices_stay_at_the_last_close_without_a_bar(both):
    assert column(both, "close", 0) == [100.0, 101.0, 101.0, 102.0, 103.0]
    for name in ("open", "high", "low", "close", "last_close"):
        assert column(both, name, 0)[2] == 101.0
        assert column(both, name, 1)[4] == 303.0
    assert column(both, "open", 0)[3] == 101.0
    assert column(both, "last_close", 0)[3] == 101.0
    assert [column(both, "volume", i)[row] for i, row in ((0, 2), (1, 4))] == [0.0, 0.0]


def test_nothing_is_gained_before_an_instrument_s_first_bar(both):
    # It stands at its first open.
    for name in ("open", "high", "low", "close", "last_close"):
        assert column(both, name, 1)[:2] == [299.0, 299.0]
    assert column(both, "last_close", 1)[2] == 299.0
    assert column(both, "volume", 1)[:2] == [0.0, 0.0]
    # Its terms are those of its first bar.
    assert column(both, "taker", 1)[:2] == pytest.approx([0.5e-4] * 2)


def test_borrow_and_loans_pass_with_time_whether_or_not_there_is_a_bar(known):
    terms = {name: charged(known[name], Costs(borrow_bps_per_day=24.0, loan_bps_per_day=48.0)) for name in known}
    tape = build_tape({"BTCUSDT_1h": COIN, "SPY_5m": SHARE}, terms)
    hours = np.array([0.0, 1.0, 0.5, 0.5, 1.0])
    for i in (0, 1):
        assert column(tape, "borrow", i) == pytest.approx(hours * BPS)
        assert column(tape, "loan", i) == pytest.approx(2 * hours * BPS)


def test_a_weekend_is_borrowed_for(known):
    terms = {"SPY_5m": charged(known["SPY_5m"], Costs(borrow_bps_per_day=1.0))}
    bars = pd.concat([frame("2020-01-03 21:00", [300.0]), frame("2020-01-06 15:00", [301.0])])
    assert column(build_tape({"SPY_5m": bars}, terms), "borrow") == pytest.approx([0.0, 2.75 * BPS])


def test_funding_falls_on_bars_and_misses_none(known):
    # At 4, 12 and 20; the bars of 4:00 to 12:00 are missing, so that 13:00 pays for both.
    funded = known["BTCUSDT_1h"].model_copy(update={"funding": Funding(hours_utc=(4, 12, 20), rate_bps=2.0)})
    bars = frame("2020-01-01", [100.0] * 24).drop(pd.date_range("2020-01-01 04:00", periods=9, freq="1h", tz="UTC"))
    tape = build_tape({"BTCUSDT_1h": bars}, {"BTCUSDT_1h": funded})
    paid = dict(zip(tape.times.hour, column(tape, "funding"), strict=True))
    assert {hour: value for hour, value in paid.items() if value} == pytest.approx({13: 4 * BPS, 20: 2 * BPS})


def test_funding_of_a_missing_bar_is_paid_in_the_next_one_of_two_instruments(known):
    funded = known["BTCUSDT_1h"].model_copy(update={"funding": Funding(hours_utc=(14,), rate_bps=2.0)})
    coin = COIN.drop(COIN.index[1])
    tape = build_tape(
        {"BTCUSDT_1h": coin, "SPY_5m": frame("2020-01-06 14:00", [300.0])}, known | {"BTCUSDT_1h": funded}
    )
    assert [f"{time:%H}" for time in tape.times] == ["13", "14", "15", "16"]
    assert column(tape, "funding") == pytest.approx([0.0, 0.0, 2 * BPS, 0.0])


def test_the_day_trade_rule_and_sessions_are_carried(both):
    assert column(both, "day_trade", 0) == [0.0] * 5
    assert column(both, "day_trade", 1) == [1.0] * 5
    assert column(both, "session", 1) == [0.0] * 5


# Impact.


def priced(known, coef: float = 0.5) -> dict[str, Instrument]:
    return {name: instrument.model_copy(update={"impact_coef": coef}) for name, instrument in known.items()}


def test_impact_is_the_volatility_of_the_bars_before(known, bars):
    tape = build_tape({"BTCUSDT_1h": bars}, priced(known))
    impact, returns = np.array(column(tape, "impact")), np.diff(np.log(bars["close"]))
    assert VOLATILITY_BARS == 50
    # 50 returns need 51 closes, and the bar's own is not among them.
    assert not impact[:51].any()
    for row in (51, 200, len(bars) - 1):
        assert impact[row] == pytest.approx(0.5 * returns[row - 51 : row - 1].std(ddof=1))


@pytest.mark.parametrize("cut", [30, 60, 300])
def test_impact_knows_neither_its_own_bar_nor_a_later_one(known, bars, cut):
    bars = bars.iloc[:400]
    impact = column(build_tape({"BTCUSDT_1h": bars}, priced(known)), "impact")
    poisoned = bars.copy()
    poisoned.iloc[cut:] *= np.linspace(1.5, 3.0, len(bars) - cut)[:, None]
    after = column(build_tape({"BTCUSDT_1h": poisoned}, priced(known)), "impact")
    truncated = column(build_tape({"BTCUSDT_1h": bars.iloc[: cut + 1]}, priced(known)), "impact")
    assert after[: cut + 1] == impact[: cut + 1]
    assert truncated == impact[: cut + 1]
    assert after[cut + 1 :] != impact[cut + 1 :]


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_later_bars_change_nothing_earlier_of_two_instruments(known, both, cut):
    start = both.times[cut]
    parts = {"BTCUSDT_1h": COIN[COIN.index < start], "SPY_5m": SHARE}
    poisoned = {"BTCUSDT_1h": COIN.mul(np.where(COIN.index < start, 1.0, 7.0), axis=0), "SPY_5m": SHARE.copy()}
    poisoned["SPY_5m"].iloc[SHARE.index.searchsorted(start) + 1 :] *= 7.0
    for other in (parts, poisoned):
        tape = build_tape(other, known)
        rows = torch.from_numpy(np.flatnonzero(tape.times < start))
        assert torch.equal(tape.table[rows], both.table[: len(rows)])


# Reading and stacking.


def test_rows_come_as_columns_by_instrument(both):
    rows = both.rows(torch.tensor([[0, 2, 4], [1, 3, 3]]))
    assert isinstance(rows, Bars)
    assert {column.shape for column in rows} == {(2, 2, 3)}
    assert rows.close.tolist() == [[[100.0, 101.0, 103.0], [101.0, 102.0, 102.0]], [[299, 300, 303], [299, 303, 303]]]


@pytest.mark.parametrize("fees", ["still", "moving"])
def test_steps_are_the_rows_of_each(both, fees):
    """A column that never changes is read once; a fee that does is read at each step."""
    moving = torch.arange(float(len(both.times))).view(-1, 1) * 1e-4
    tape = both if fees == "still" else both.changed(taker=moving)
    rows = torch.tensor([[[0, 2]], [[1, 3]], [[4, 4]]])
    exact, single = tape.steps(rows, torch.float32)
    assert len(exact) == len(single) == 3
    for step, own, other in zip(rows, exact, single, strict=True):
        for name, found, rounded, expected in zip(COLUMNS, own, other, tape.rows(step), strict=True):
            assert torch.equal(found, expected), name
            assert torch.equal(rounded, expected.float()), name


def test_a_tape_knows_what_it_charges_and_where_it_is_silent(known, both):
    bars = frame("2020-01-01", [100.0, 101.0, 103.0])
    hourly = build_tape({"BTCUSDT_1h": bars}, known)
    assert (hourly.charged, hourly.silent, both.silent) == (frozenset({"borrow"}), False, True)
    assert hourly.changed(loan=1e-4, borrow=0.0).charged == {"loan"}


def test_what_is_held_costs_what_its_bars_do_market_by_market(known):
    parts = {
        "BTCUSDT_1h": frame("2020-01-01", [100.0, 101.0, 103.0]),
        "EURUSD_1h": frame("2020-01-01", [1.1, 1.2, 1.3]),
    }
    tape = chain_tapes((build_tape({name: bars}, known) for name, bars in parts.items()), 6)
    tape = tape.changed(borrow=1e-3, loan=2e-3, funding=torch.tensor([1.0, -2.0, 3.0] * 2).view(-1, 1) * 1e-3)
    for first in (0, 3):
        rows = slice(first, first + 3)
        opened, last_close = tape.column("open")[rows, 0], tape.column("last_close")[rows, 0]
        funding = opened * torch.tensor([1e-3, -2e-3, 3e-3], dtype=torch.float64)
        expected = torch.stack([1e-3 * last_close, funding, funding.abs(), torch.full((3,), 2e-3).double()], dim=-1)
        torch.testing.assert_close(tape.held[rows, 0], expected.cumsum(0), rtol=1e-6, atol=0)


def test_steps_of_markets_that_differ_alone(known):
    """What never changes in a market is not the same in all."""
    parts = {
        "BTCUSDT_1h": frame("2020-01-01", [100.0, 101.0, 103.0]),
        "EURUSD_1h": frame("2020-01-01", [1.1, 1.2, 1.3]),
    }
    tape = chain_tapes((build_tape({name: bars}, known) for name, bars in parts.items()), 6)
    rows = torch.tensor([[0, 3], [1, 4]])
    exact, _ = tape.steps(rows, torch.float64)
    assert len(set(exact[0].lot.flatten().tolist())) == 2
    for step, own in zip(rows, exact, strict=True):
        assert all(torch.equal(found, expected) for found, expected in zip(own, tape.rows(step), strict=True))


def test_a_tape_moves_as_a_whole(both):
    assert both.to("cpu").symbols == both.symbols
    assert torch.equal(both.to("cpu").table, both.table)


def test_no_bars_make_no_tape(known):
    with pytest.raises(DataMissingError, match="at least one symbol's bars"):
        build_tape({}, known)


@pytest.mark.parametrize("symbol", ["SPY_5m", "EURUSD_1h", "CSI300_15m"])
def test_every_number_of_a_real_tape_is_finite(known, real_bars, symbol):
    lent = {"quote_currency": "USD", "asset_class": "crypto_spot"}
    terms = {name: term.model_copy(update=lent) for name, term in priced(known).items()}
    tape = build_tape({symbol: real_bars(symbol, 0, 500), "BTCUSDT_1h": real_bars("BTCUSDT_1h", 0, 300)}, terms)
    assert torch.isfinite(tape.table).all()
    low, high = tape.column("low"), tape.column("high")
    for name in ("open", "close"):
        assert ((tape.column(name) >= low) & (tape.column(name) <= high)).all()
    assert torch.equal(tape.column("last_close")[1:], tape.column("close")[:-1])


def test_one_account_holds_one_currency(root):
    instruments = load_instruments(root / "data" / "instruments.yaml")
    symbols = ("BTCUSDT_1h", "EURUSD_1h", "CSI300_15m")
    bars = {symbol: load_bars(root / "data" / "bars" / f"{symbol}.parquet").iloc[:50] for symbol in symbols}
    # A dollar and its stablecoin are one.
    build_tape({symbol: bars[symbol] for symbol in symbols[:2]}, instruments)
    with pytest.raises(ConfigError, match=r"BTCUSDT_1h in USDT, EURUSD_1h in USD, CSI300_15m in CNY: nothing here"):
        build_tape(bars, instruments)


def test_impact_needs_a_volume_of_units(root):
    instruments = load_instruments(root / "data" / "instruments.yaml")
    bars = load_bars(root / "data" / "bars" / "EURUSD_1h.parquet").iloc[:80]
    assert not build_tape({"EURUSD_1h": bars}, instruments).metered
    dear = instruments["EURUSD_1h"].model_copy(update={"impact_coef": 0.1})
    with pytest.raises(ConfigError, match="EURUSD_1h's volume counts no units, so impact means nothing"):
        build_tape({"EURUSD_1h": bars}, {"EURUSD_1h": dear})


# Joining.


@pytest.fixture(scope="module")
def hours(root) -> tuple[dict[str, pd.DataFrame], dict[str, Instrument]]:
    """A week of a coin round the clock and of a currency that closes at weekends, with borrow and loans."""
    terms = load_instruments(root / "data" / "instruments.yaml")
    dear = {"borrow_bps_per_day": 7.0, "loan_bps_per_day": 3.0}
    symbols = ("BTCUSDT_1h", "EURUSD_1h")
    start, stop = pd.Timestamp("2018-05-02 03:00", tz="UTC"), pd.Timestamp("2018-05-15", tz="UTC")
    bars = {s: load_bars(root / "data" / "bars" / f"{s}.parquet").loc[start:stop] for s in symbols}
    return bars, {symbol: terms[symbol].model_copy(update=dear) for symbol in symbols}


def test_markets_are_joined_as_their_bars_would_be(hours):
    bars, terms = hours
    n_rows = sum(len(frame) for frame in bars.values())
    chained = chain_tapes((build_tape({symbol: frame}, terms) for symbol, frame in bars.items()), n_rows)
    found, expected = join_tape(chained, (0, 1)), build_tape(bars, terms)
    assert (found.symbols, found.first_row, found.n_rows) == (expected.symbols, expected.first_row, expected.n_rows)
    assert found.times.equals(expected.times)
    assert (expected.column("traded")[:, 1] == 0).any()
    torch.testing.assert_close(found.table, expected.table, rtol=1e-12, atol=0.0)
    assert join_tape(chained, (1, 0)).symbols == (("EURUSD_1h", "BTCUSDT_1h"),)


def test_markets_of_other_currencies_or_other_bars_are_not_joined(hours, known):
    bars, terms = hours
    parts = [build_tape({symbol: frame}, terms) for symbol, frame in bars.items()]
    yuan = terms["EURUSD_1h"].model_copy(update={"quote_currency": "CNY"})
    foreign = build_tape({"EURUSD_1h": bars["EURUSD_1h"]}, {"EURUSD_1h": yuan})
    with pytest.raises(ConfigError, match="one account cannot hold BTCUSDT_1h in USDT, EURUSD_1h in CNY"):
        join_tape(chain_tapes([parts[0], foreign], len(parts[0].times) + len(foreign.times)), (0, 1))
    short = build_tape({"SPY_5m": SHARE}, known)
    with pytest.raises(ConfigError, match=r"bars of different minutes \(BTCUSDT_1h of 60, SPY_5m of"):
        join_tape(chain_tapes([parts[0], short], len(parts[0].times) + len(short.times)), (0, 1))
