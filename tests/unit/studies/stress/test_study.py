"""Tables of the stress study: differences of what was walked, ruin named and never averaged, and the words beside them."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from sizewise.studies.stress.attribution import attribute
from sizewise.studies.stress.days import WalkedDays
from sizewise.studies.stress.study import StressStudy, noted
from sizewise.studies.stress.walks import Fit
from sizewise.studies.stress.world import AS_IS, Scenario

from ....hand_ledger import ledger
from ....hand_market import make_market

DAYS = pd.date_range("2020-11-01", periods=120, tz="UTC", name="day")
NOISE = np.random.default_rng(0).normal(0.0, 2e-4, (len(DAYS), 2))
FIT = Fit(5.0, 0.5, True, 20.0, 1.5, False)
FREE, TRIPLE, LATE = Scenario("costs", 0.0), Scenario("costs", 3.0), Scenario("delay", 2.0)


def days(growth: float, *, ruined: tuple[str, ...] = (), seed: int = 0) -> WalkedDays:
    """Two symbols around `growth` a day; B is live in the last month alone."""
    table = pd.DataFrame(growth + np.roll(NOISE, seed, axis=0), index=DAYS, columns=pd.Index(["A", "B"], name="symbol"))
    table.loc[DAYS[:-30], "B"] = np.nan
    return WalkedDays(table, costs_bps=2.0, turnover_pct=10.0, side_bps=5.0, exposure_pct=4.0, ruined=ruined)


def arms(ppo: float, atr: float, *, ruined: tuple[str, ...] = ()) -> dict[str, WalkedDays]:
    """ruined: paths of `atr`."""
    return {"ppo": days(ppo, seed=3), "atr": days(atr, ruined=ruined), "constant": days(0.0, seed=7)}


@pytest.fixture(scope="module")
def attributions():
    market = make_market(480, seed=1)
    held = np.where(np.arange(480) % 40 < 30, 0.1, 0.0)
    return {"ppo": attribute(ledger(market, 2.0 * held), ledger(market, held), market)}


@pytest.fixture
def study(params, attributions) -> StressStudy:
    plan = params.plan.model_copy(update={"reference": "atr", "blocks": 8, "alpha": 0.05})
    walked = {
        FREE: arms(4e-4, 2e-4),
        AS_IS: arms(1e-4, 1e-4),
        TRIPLE: arms(-5e-4, -1e-4),
        LATE: arms(0.0, 1e-4, ruined=("A fold 0 seed 0",)),
    }
    return StressStudy(plan, {0: FIT, 1: FIT}, walked, attributions, 0.0, "hash")


def test_effects_are_differences_of_the_portfolios(study):
    table = study.table()
    assert list(table.index) == ["costs x0", "costs x1", "costs x3", "delay 2 bars"]
    for scenario, expected in ((FREE, 2.0), (TRIPLE, -4.0)):
        row = table.loc[scenario.name]
        daily = study.difference(scenario)
        blocks = [part.mean() for part in np.array_split(daily.to_numpy(), 8)]
        assert row["effect_bps"] == pytest.approx(1e4 * np.mean(blocks))
        assert row["effect_bps"] == pytest.approx(expected, abs=0.5)
        assert row["effect_bps"] == pytest.approx(row["ppo_bps"] - row["atr_bps"])
        assert row["low_bps"] < row["effect_bps"] < row["high_bps"]
        assert row["n_days"] == len(DAYS)


def test_holm_leaves_out_the_costs_as_they_are(study):
    table = study.table()
    assert np.isnan(table.loc["costs x1", "p_holm"])
    assert np.isfinite(table.loc["costs x1", "p_value"])
    tested = table.loc[["costs x0", "costs x3"]]
    assert tested["p_holm"].min() == pytest.approx(min(1.0, 2.0 * tested["p_value"].min()))
    assert table["p_holm"].notna().sum() == 2


def test_a_ruined_account_is_counted_named_and_not_averaged(study):
    row = study.table().loc["delay 2 bars"]
    assert row["ruined"] == 1
    assert row[["effect_bps", "low_bps", "p_value", "atr_bps"]].isna().all()
    assert np.isfinite(row["ppo_bps"])
    ruins = study.ruins()
    assert ruins.loc["delay 2 bars"].to_dict() == {"arm": "atr", "n_paths": 1, "paths": "A fold 0 seed 0"}
    assert noted(study.table()).loc["delay 2 bars", "note"] == "1 path ruined"


def test_a_ruin_at_one_multiple_leaves_no_break_even(study):
    walked = {**study.walked, TRIPLE: arms(-5e-4, -1e-4, ruined=("A fold 0 seed 0",))}
    found = StressStudy(study.plan, study.fits, walked, study.attributions, 0.0, "hash")
    breaks = found.break_evens()
    assert breaks["ppo minus atr"] is None
    assert breaks["atr"] is None
    assert breaks["ppo"] is not None
    table = found.break_even_table()
    assert table.loc["atr", ["multiple", "break_even_side_bps"]].isna().all()
    assert np.isnan(found.growth().loc[(3.0, "atr"), "growth_bps"])


def test_growth_stands_by_multiple_and_arm(study):
    growth = study.growth()
    assert growth.index.names == ["multiple", "arm"]
    assert list(growth.index.unique("multiple")) == [0.0, 1.0, 3.0]
    assert growth.loc[(0.0, "ppo"), "growth_bps"] == study.table().loc["costs x0", "ppo_bps"]
    assert growth.loc[(0.0, "ppo"), ["costs_bps", "turnover_pct", "exposure_pct"]].tolist() == [2.0, 10.0, 4.0]


def test_a_break_even_a_side_is_the_multiple_times_what_a_side_costs(study):
    table = study.break_even_table()
    assert list(table.index) == ["ppo minus atr", "ppo", "atr", "constant"]
    row = table.loc["ppo"]
    assert 1.0 < row["multiple"] < 3.0
    assert row["break_even_side_bps"] == pytest.approx(5.0 * row["multiple"])
    assert (table["side_bps"] == 5.0).all()


def test_what_does_not_break_even_has_no_interval(study):
    table = study.break_even_table()
    known = table["multiple"].notna()
    assert 0 < known.sum() < len(table)
    assert table.loc[~known, ["low", "high"]].isna().all(axis=None)
    assert not np.isinf(table[["low", "high"]]).any(axis=None)


def test_the_candidate_is_held_against_every_other_arm(study):
    table = study.matched()
    assert list(table.index) == ["ppo", "atr", "constant"]
    assert np.isnan(table.loc["ppo", "effect_bps"])
    assert table.loc["atr", "effect_bps"] == study.table().loc["costs x1", "effect_bps"]
    own = table["growth_bps"]
    assert table.loc["constant", "effect_bps"] == pytest.approx(own["ppo"] - own["constant"])
    assert table["p_holm"].notna().sum() == 2


def test_symbols_and_years_are_cut_apart(study):
    by_symbol, by_year = study.by_symbol(), study.by_year()
    assert by_symbol["n_days"].to_dict() == {"A": 120, "B": 30}
    assert by_year["n_days"].to_dict() == {"2020": 61, "2021": 59}
    daily = study.difference(AS_IS)
    blocks = [part.mean() for part in np.array_split(daily.to_numpy()[61:], 8)]
    assert by_year.loc["2021", "effect_bps"] == pytest.approx(1e4 * np.mean(blocks))


def test_a_cut_with_too_few_days_shows_its_n(study):
    plan = study.plan.model_copy(update={"blocks": 16})
    table = StressStudy(plan, study.fits, study.walked, study.attributions, 0.0, "hash").by_symbol()
    assert table.loc["B", "n_days"] == 30
    assert table.loc["B", ["effect_bps", "low_bps", "p_value", "p_holm"]].isna().all()
    assert noted(table).loc["B", "note"] == "30 days: too few to test"
    assert noted(table).loc["A", "note"].startswith("120 days, Holm p = ")


def test_the_fits_are_a_row_a_fold(study):
    table = study.fit_table()
    assert list(table.index) == [0, 1]
    assert table.loc[1, "turnover_factor"] == 1.5


def test_the_attribution_is_of_the_candidate(study):
    table, every = study.attribution(), study.attribution_of_arms()
    assert every.loc["ppo", "exposure_ratio"] == pytest.approx(2.0)
    assert every.loc["ppo", "exposure"] == table.loc["exposure", "effect_bps"]


def test_metrics_are_json_without_what_is_missing(study):
    made = study.metrics()
    text = json.dumps(made, allow_nan=False)
    assert json.loads(text) == made
    assert "effect_bps" not in made["scenarios"]["delay 2 bars"]
    assert made["scenarios"]["delay 2 bars"]["ruined"] == 1
    assert made["exposure_ratio"] == pytest.approx(2.0)
    tables = {"scenarios", "break_even", "matched", "attribution", "by_symbol", "by_year"}
    assert set(made) == {"reproduction_bps", "exposure_ratio"} | tables
    assert all(math.isfinite(value) for row in made["break_even"].values() for value in row.values())
