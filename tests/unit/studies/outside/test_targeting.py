"""Volatility targeting by class: pairs from bars and from the ledger, a difference with its interval, and its outcome."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import ConfigError
from sizewise.dataset.store import Universe
from sizewise.evidence.statistics.sharpe import ledoit_wolf
from sizewise.ledgers.metrics import volatility
from sizewise.params.studies.outside import Targeting
from sizewise.studies.outside import targeting
from sizewise.studies.outside.predictions import FAILED, HELD, OPEN

RULES = Targeting(half_life_days=5)
DAYS = pd.bdate_range("2015-01-01", periods=900, tz="UTC")


def universe(closes: dict[str, np.ndarray], classes: dict[str, str]) -> Universe:
    bars = {name: pd.DataFrame({"close": values}, index=DAYS[: len(values)]) for name, values in closes.items()}
    return Universe(bars, {name: SimpleNamespace(asset_class=classes[name]) for name in closes}, "hash")


def leveraged(n: int = 900) -> np.ndarray:
    """Closes of an asset that earns when it is calm and loses when it is not, months of either."""
    rng = np.random.default_rng(1)
    calm = np.arange(n) // 60 % 2 == 0
    moves = np.where(calm, 0.001, -0.001) + rng.normal(size=n) * np.where(calm, 0.005, 0.02)
    return 100.0 * np.cumprod(1.0 + moves)


def test_targeting_wins_where_losses_come_in_wild_times():
    given = universe({"A": leveraged(), "B": leveraged()[::-1].copy()}, {"A": "equity", "B": "fx"})
    managed, constant = targeting.held_long(given, RULES)
    assert managed["A"].mean() > constant["A"].mean()
    for frame in (managed, constant):
        for symbol in frame:
            assert volatility(frame[symbol]) == pytest.approx(RULES.annual_vol_frac)


def test_exposure_knows_the_day_before_yesterday_and_nothing_later():
    closes = leveraged()
    poisoned = closes.copy()
    poisoned[500:] *= 1.3
    one, other = (
        targeting.held_long(universe({"A": path}, {"A": "equity"}), RULES)[0]["A"] for path in (closes, poisoned)
    )
    # A factor that is found afterwards brings the whole to one volatility; ratios within are of what was known.
    before = slice(0, 500 - 3 * RULES.half_life_days - 10)
    np.testing.assert_allclose(one.iloc[before] / one.iloc[0], other.iloc[before] / other.iloc[0], rtol=1e-9)
    earned = pd.Series(closes, DAYS).pct_change()
    forecast = np.sqrt((earned.dropna() ** 2).ewm(halflife=5, min_periods=15).mean())
    day = DAYS[100]
    exposure = one[day] / earned[day]
    later = one[DAYS[101]] / earned[DAYS[101]]
    assert later / exposure == pytest.approx(forecast[DAYS[98]] / forecast[DAYS[99]])


def test_groups_are_those_of_the_source():
    classes = {"A": "equity", "B": "equity_etf", "C": "equity_index", "D": "fx", "E": "crypto_spot"}
    given = universe({name: leveraged(50) for name in classes}, classes)
    assert list(targeting.groups_of(given).values()) == ["equities"] * 3 + ["currencies", "crypto"]


def test_a_row_is_the_test_of_the_portfolios(params):
    given = universe({"A": leveraged(), "B": leveraged()[::-1].copy()}, {"A": "equity", "B": "equity"})
    pair = targeting.held_long(given, RULES)
    table = targeting.sharpe_table(pair, targeting.groups_of(given), params.plan)
    assert table.index.tolist() == ["equities", "all"]
    one, other = (frame.mean(axis=1).to_numpy() for frame in pair)
    expected = ledoit_wolf(one, other, alpha=0.05)
    row = table.loc["equities"]
    assert row["p_value"] == pytest.approx(expected.p_value)
    assert row["difference"] / row["low"] == pytest.approx(expected.difference / expected.low)
    assert row["difference"] == pytest.approx(row["sharpe_managed"] - row["sharpe_constant"], rel=1e-2)
    assert row["p_holm"] == pytest.approx(row["p_value"])
    assert np.isnan(table.loc["all", "p_holm"])


def test_the_error_of_independent_days_is_that_of_draws():
    rng = np.random.default_rng(0)
    root = np.linalg.cholesky([[1.0, 0.8], [0.8, 1.0]])
    draws = rng.normal(size=(2000, 250, 2)) @ root.T + [0.1, 0.05]
    sharpes = draws.mean(axis=1) / draws.std(axis=1)
    spread = (sharpes[:, 0] - sharpes[:, 1]).std()
    known = np.mean([targeting.iid_error(one[:, 0], one[:, 1]) for one in draws])
    assert known == pytest.approx(spread, rel=0.05)


def table(equities: tuple[float, float], currencies: tuple[float, float]) -> pd.DataFrame:
    rows = {"equities": equities, "currencies": currencies}
    made = {
        name: {"difference": (low + high) / 2, "low": low, "high": high, "p_value": 0.2, "mde": 0.3}
        for name, (low, high) in rows.items()
    }
    return pd.DataFrame.from_dict(made, orient="index")


@pytest.mark.parametrize(
    ("equities", "currencies", "outcomes"),
    [
        ((0.1, 0.3), (-0.05, 0.05), [HELD, HELD]),
        ((-0.3, -0.1), (0.2, 0.4), [FAILED, FAILED]),
        ((-0.1, 0.3), (-0.3, 0.3), [OPEN, OPEN]),
    ],
)
def test_outcomes_follow_the_intervals(equities, currencies, outcomes):
    found = targeting.predictions(table(equities, currencies), RULES, "Held long")
    assert [one.outcome for one in found] == outcomes
    assert found[1].claim == "Held long: in currencies the two differ by no more than 0.1 a year"


def test_a_class_that_is_not_there_is_not_predicted():
    assert targeting.predictions(table((0.1, 0.3), (0.0, 0.0)).drop("currencies"), RULES, "Held long")[1:] == []


def test_an_arm_is_not_compared_with_itself():
    with pytest.raises(ConfigError, match=r"outside.targeting compares 'cash' with itself: name two arms"):
        targeting.walked(SimpleNamespace(), Targeting(managed="cash", constant="cash"))
