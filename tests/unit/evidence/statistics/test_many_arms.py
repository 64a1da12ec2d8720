"""SPA and MCS over a field: what they find, clones, gaps, and what they refuse."""

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import LedgerError
from sizewise.evidence.statistics.many_arms import mcs, spa

SETTINGS = {"block_days": 10, "draws": 300}


def field(edge: float = 0.0, seed: int = 0) -> pd.DataFrame:
    """Daily log growth of four arms that share a market; arm b earns `edge` more a day."""
    rng = np.random.default_rng(seed)
    growth = rng.normal(0.0, 0.01, (400, 1)) + rng.normal(0.0, 0.003, (400, 4))
    growth[:, 1] += edge
    return pd.DataFrame(growth, columns=list("abcd"), index=pd.date_range("2020-01-01", periods=400, tz="UTC"))


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_a_better_arm_is_found():
    daily = field(0.001)
    found = spa(daily, "a", rng=rng(), **SETTINGS)
    assert found.p_value < 0.05
    assert found.p_lower <= found.p_value <= found.p_upper
    assert found.arms.index[0] == "b"
    assert found.arms.loc["b", "effect_bps"] == pytest.approx(1e4 * (daily["b"] - daily["a"]).mean())
    assert spa(daily, "b", rng=rng(), **SETTINGS).p_value > 0.5
    members = mcs(daily, size=0.10, rng=rng(), **SETTINGS)
    assert members.index[members["in_set"]].tolist() == ["b"]
    assert members.loc["b", "p_value"] == 1.0


def test_no_arm_is_found_where_none_is_better():
    rates = [spa(field(seed=seed), "a", block_days=5, draws=99, rng=rng()).p_value < 0.05 for seed in range(60)]
    assert np.mean(rates) <= 0.15
    assert mcs(field(), size=0.05, rng=rng(), **SETTINGS)["in_set"].sum() >= 3


def test_a_clone_is_named_and_divides_nothing():
    daily = field().assign(copy=lambda days: days["a"])
    found = spa(daily, "a", rng=rng(), **SETTINGS)
    assert found.left_out == ("copy",)
    assert found.p_value == spa(field(), "a", rng=rng(), **SETTINGS).p_value
    assert found.arms.loc["copy", "effect_bps"] == 0.0
    members = mcs(daily, size=0.10, rng=rng(), **SETTINGS)
    assert members.loc["copy", "same_as"] == "a"
    assert members.loc["copy", "p_value"] == members.loc["a", "p_value"]
    assert (members.drop(index="copy")["same_as"] == "").all()


def test_a_field_of_clones_tells_nothing():
    daily = field()[["a"]].assign(b=lambda days: days["a"])
    found = spa(daily, "a", rng=rng(), **SETTINGS)
    assert (found.p_lower, found.p_value, found.p_upper, found.left_out) == (1.0, 1.0, 1.0, ("b",))
    assert mcs(daily, size=0.10, rng=rng(), **SETTINGS)["p_value"].tolist() == [1.0, 1.0]


def test_days_that_an_arm_lacks_are_left_out():
    daily = field()
    daily.iloc[:50, 2] = np.nan
    found, cut = (spa(days, "a", rng=rng(), **SETTINGS) for days in (daily, daily.iloc[50:]))
    assert found.p_value == cut.p_value


def test_the_same_generator_gives_the_same_bits():
    first, again = (mcs(field(), size=0.1, rng=rng(), **SETTINGS) for _ in range(2))
    pd.testing.assert_frame_equal(first, again, check_exact=True)


def test_what_cannot_be_tested_is_refused():
    daily = field()
    with pytest.raises(LedgerError, match="the field has no arm 'z': name one of a, b, c, d"):
        spa(daily, "z", rng=rng(), **SETTINGS)
    for few in (daily[["a"]], daily.iloc[:9], daily.assign(e=np.nan)):
        with pytest.raises(LedgerError, match="need two arms and ten days"):
            mcs(few, size=0.1, rng=rng(), **SETTINGS)
    with pytest.raises(LedgerError, match="not finite"):
        spa(daily.replace(daily.iloc[0, 0], -np.inf), "a", rng=rng(), **SETTINGS)
    with pytest.raises(LedgerError, match="arm 'e' differs from 'a' by the same on every day"):
        spa(daily.assign(e=daily["a"] + 0.001), "a", rng=rng(), **SETTINGS)
