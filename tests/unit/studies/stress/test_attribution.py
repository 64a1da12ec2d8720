"""Attribution: each planted difference lies in its own part, the parts add up, and what cannot be divided is refused."""

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import LedgerError
from sizewise.studies.stress.attribution import COSTS, PARTS, Attribution, attribute

from ....hand_ledger import ledger, same_days
from ....hand_market import make_market

ROWS = 24 * 20
MARKET = same_days(make_market(ROWS, symbols=2, seed=3))
RNG = np.random.default_rng(1)
# Ten bars a trade, on both sides; flat at both ends.
SIDES = np.repeat([0, 1, -1, 1, 0, -1, 1, -1], 60).astype(float)
HELD = SIDES * np.repeat(RNG.uniform(0.05, 0.2, 48), 10)
FEES = {"fees": -RNG.uniform(0.0, 1e-4, ROWS), "slippage": -RNG.uniform(0.0, 1e-5, ROWS)}
REFERENCE = ledger(MARKET, HELD, arm="reference", costs={name: share.copy() for name, share in FEES.items()})
PRICE = ("exposure", "timing", "direction")


def planted(held: np.ndarray, costs: dict | None = None) -> Attribution:
    given = FEES if costs is None else costs
    return attribute(
        ledger(MARKET, held, costs={name: share.copy() for name, share in given.items()}), REFERENCE, MARKET
    )


def sums(found: Attribution) -> pd.Series:
    return found.daily.sum()


def price_result(held: np.ndarray) -> float:
    """Of a path without costs: sum of its simple returns."""
    path = ledger(MARKET, held)
    return float((path["price_pnl"] / path["equity"].shift(1, fill_value=1000.0)).sum())


def test_a_clone_differs_in_nothing():
    found = planted(HELD)
    assert found.ratio == 1.0
    assert (found.daily == 0.0).all(axis=None)


@pytest.mark.parametrize("factor", [0.25, 3.0])
def test_scaling_is_exposure(factor):
    found = planted(factor * HELD)
    assert found.ratio == pytest.approx(factor)
    total = sums(found)
    assert total["exposure"] == pytest.approx((factor - 1.0) * price_result(HELD), rel=1e-9)
    assert abs(total["exposure"]) > 1e-3
    assert total[["timing", "direction", *COSTS]].abs().max() < 1e-13


def test_the_same_sizes_in_another_order_are_timing():
    # Whole trades of one side swap their sizes.
    size = np.abs(HELD).reshape(8, 60)
    other = size[[0, 3, 5, 6, 4, 7, 1, 2]].reshape(-1) * SIDES
    found = planted(other)
    assert found.ratio == pytest.approx(1.0)
    total = sums(found)
    assert total["timing"] == pytest.approx(price_result(other) - price_result(HELD), rel=1e-9)
    assert abs(total["timing"]) > 1e-3
    assert total[["exposure", "direction", *COSTS]].abs().max() < 1e-13


def test_the_other_side_is_direction():
    found = planted(-HELD)
    total = sums(found)
    assert total["direction"] == pytest.approx(-2.0 * price_result(HELD), rel=1e-9)
    assert abs(total["direction"]) > 1e-3
    assert total[["exposure", "timing", *COSTS]].abs().max() < 1e-13


def test_a_position_without_the_references_is_direction():
    alone = np.where(SIDES == 0, 0.1, 0.0)
    found = planted(HELD + alone)
    assert sums(found)["direction"] == pytest.approx(price_result(alone), rel=1e-9)


def test_a_turn_is_divided_at_its_fill():
    # In the bar of a turn the gap is earned on the old side, the bar on the new one; the candidate does not turn.
    turn = 120
    held = HELD.copy()
    held[turn] = 0.0
    found = planted(held)
    assert sums(found)["direction"] == 0.0


@pytest.mark.parametrize(("column", "part"), [("fees", "fees"), ("slippage", "slippage"), ("borrow", "carry")])
def test_other_costs_of_the_same_trades_are_costs(column, part):
    costs = {**FEES, column: -np.full(ROWS, 5e-5)}
    found = planted(HELD, costs)
    other = FEES.get(column, np.zeros(ROWS))
    assert sums(found)[part] == pytest.approx(float((costs[column] - other)[1:].sum()), rel=1e-9)
    rest = [name for name in PARTS if name not in (part, "compounding")]
    assert sums(found)[rest].abs().max() < 1e-13


def test_funding_is_carry():
    found = planted(HELD, {**FEES, "borrow": -np.full(ROWS, 2e-5), "funding": np.full(ROWS, 5e-5)})
    assert sums(found)["carry"] == pytest.approx(3e-5 * (ROWS - 1), rel=1e-9)


def test_growth_of_a_day_is_its_log_growth_to_the_last_digit():
    found = planted(2.0 * HELD[::-1].copy())
    log = [np.log(path["equity"]).diff().fillna(0.0) for path in (ledger_of(2.0 * HELD[::-1].copy()), REFERENCE)]
    daily = (log[0] - log[1]).groupby(REFERENCE["timestamp"].dt.floor("D")).sum()
    np.testing.assert_allclose(found.daily.sum(axis=1), daily, atol=1e-14)


def ledger_of(held: np.ndarray) -> pd.DataFrame:
    return ledger(MARKET, held, costs={name: share.copy() for name, share in FEES.items()})


def test_seeds_are_averaged_and_symbols_weigh_the_same():
    seeds = [ledger(MARKET, factor * HELD, seed=seed) for seed, factor in ((1, 1.0), (2, 2.0))]
    other = [ledger(MARKET, HELD, symbol="S1", seed=seed) for seed in (1, 2)]
    reference = pd.concat([ledger(MARKET, HELD), ledger(MARKET, 0.5 * HELD, symbol="S1")])
    found = attribute(pd.concat([*seeds, *other]), reference, MARKET)
    # Means of |position|: 1.5 and 1 times that of the path, over 1 and a half of it.
    assert found.ratio == pytest.approx(2.5 / 1.5)
    assert list(found.days.columns.unique("symbol")) == ["S0", "S1"]
    each = {symbol: found.days.xs(symbol, axis=1, level="symbol").sum(axis=1) for symbol in ("S0", "S1")}
    np.testing.assert_allclose(found.daily.sum(axis=1), (each["S0"] + each["S1"]) / 2.0, atol=1e-15)


def test_a_symbol_that_is_not_live_has_no_part_in_the_day():
    half = slice(0, ROWS // 2)
    late = [ledger(MARKET, factor * HELD[half], symbol="S1", rows=half) for factor in (2.0, 1.0)]
    found = attribute(*(pd.concat([ledger(MARKET, HELD), path]) for path in late), MARKET)
    assert found.days["exposure"]["S1"].isna().sum() == ROWS // 48
    by_symbol = found.by_symbol()
    assert by_symbol["n_days"].to_dict() == {"S0": 20, "S1": 10}
    np.testing.assert_allclose(by_symbol[list(PARTS)].sum(axis=1), by_symbol["difference"], rtol=1e-12, atol=1e-12)


def test_the_table_adds_up(params):
    plan = params.plan.model_copy(update={"blocks": 8})
    table = planted(1.5 * HELD[::-1].copy()).table(plan)
    assert list(table.index) == [*PARTS, "sum: the difference"]
    assert table["effect_bps"].iloc[:-1].sum() == pytest.approx(table["effect_bps"].iloc[-1], abs=1e-10)
    assert (table["low_bps"] <= table["effect_bps"]).all()
    assert (table["effect_bps"] <= table["high_bps"]).all()
    assert (table["n_days"] == 20).all()


def test_too_few_days_have_no_interval(params):
    plan = params.plan.model_copy(update={"blocks": 11})
    table = planted(1.5 * HELD).table(plan)
    assert table["effect_bps"].isna().all()
    assert (table["n_days"] == 20).all()


# What cannot be divided.


def refused(candidate: pd.DataFrame, reference: pd.DataFrame, message: str) -> None:
    with pytest.raises(LedgerError, match=message):
        attribute(candidate, reference, MARKET)


def test_a_reference_with_seeds_is_refused():
    two = pd.concat([ledger(MARKET, HELD, seed=seed) for seed in (1, 2)])
    refused(ledger(MARKET, HELD), two, r"^the reference has several seeds in S0, fold 0: choose a rule")


def test_a_reference_that_holds_nothing_is_refused():
    refused(ledger(MARKET, HELD), ledger(MARKET, 0.0 * HELD), "^the reference never holds a position")


def test_other_bars_are_refused():
    cut = slice(0, ROWS - 24)
    refused(ledger(MARKET, HELD), ledger(MARKET, HELD[cut], rows=cut), "^S0, fold 0: the arms cover different bars")
    refused(ledger(MARKET, HELD), ledger(MARKET, HELD, fold=1), "^S0, fold 0: the arms cover different bars")


def test_bars_that_the_market_does_not_have_are_refused():
    shifted = ledger(MARKET, HELD).assign(timestamp=lambda table: table["timestamp"] + pd.Timedelta(minutes=30))
    refused(ledger(MARKET, HELD), shifted, "^S0: the ledger's bars are not the market's")
    refused(
        ledger(MARKET, HELD), ledger(MARKET, HELD).assign(symbol="S7"), "^S7: the ledger's bars are not the market's"
    )


def test_columns_that_do_not_explain_the_equity_are_refused():
    damaged = ledger(MARKET, HELD, seed=4)
    damaged.loc[100, "fees"] -= 0.01
    refused(damaged, REFERENCE, "^S0, fold 0, seed 4: its columns do not explain its equity")


def test_an_account_below_zero_is_refused():
    ruined = ledger(MARKET, HELD)
    ruined.loc[200:, ["equity"]] = -1.0
    refused(ruined, REFERENCE, "^S0, fold 0, seed 0: its columns do not explain its equity, or it is not positive")
