"""The promises of design C: each is kept, broken or undecided where it must be."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sizewise.evidence.claims import BROKEN, CLAIMS, KEPT, UNDECIDED, UNTESTED, claims_sentence, claims_table

PLAN = SimpleNamespace(blocks=8, alpha=0.05)
DAYS = pd.date_range("2020-01-01", periods=800, tz="UTC")


def made(seed: int, *, mean: float = 0.0, wins: float = 0.5, scale: float = 1.0):
    rng = np.random.default_rng(seed)
    days = pd.Series(mean + scale * rng.normal(0.0, 0.01, len(DAYS)), index=DAYS)
    pnl = np.where(rng.random(len(DAYS)) < wins, 30.0, -20.0)
    return days, pd.DataFrame({"exit_time": DAYS, "pnl": pnl})


def table_of(arm, reference):
    return claims_table((arm[0], reference[0]), (arm[1], reference[1]), PLAN)


def test_an_arm_that_is_far_better_keeps_every_promise():
    found = table_of(made(1, mean=0.004, wins=0.95, scale=0.2), made(2, mean=0.0005, wins=0.5))
    assert found["outcome"].to_dict() == dict.fromkeys([claim.name for claim in CLAIMS], KEPT)
    assert found.loc["win rate", "arm"] == pytest.approx(95.0, abs=3.0)
    assert "6 promises: 6 kept" in claims_sentence("q_table", found, concludes=True)


def test_an_arm_that_is_far_worse_breaks_every_promise():
    found = table_of(made(1, mean=-0.002, wins=0.3), made(2, mean=0.003, wins=0.7))
    assert set(found["outcome"]) == {BROKEN}


def test_the_same_arm_twice_breaks_what_promised_more_and_never_keeps_it():
    """A size cannot change whether a trade wins: the win rate misses its four points by exactly four."""
    one = made(3, mean=0.0001)
    found = table_of(one, one)
    assert found.loc["win rate", ["margin", "low", "high", "outcome"]].tolist() == [-4.0, -4.0, -4.0, BROKEN]
    assert found.loc["deepest drawdown", "outcome"] == found.loc["recovery", "outcome"] == BROKEN
    assert found.loc["growth", "margin"] == 0.0


def test_noise_decides_nothing():
    found = table_of(made(4), made(5))
    assert found.loc["growth", "outcome"] == UNDECIDED


def test_without_trades_a_claim_about_them_is_not_tested():
    days, trades = made(6)
    found = table_of((days, trades.iloc[:0]), (days, trades))
    assert found.loc["win rate", "outcome"] == UNTESTED
    assert "win rate 4 points higher: not tested (nothing against" in claims_sentence("x", found, concludes=True)


def test_nothing_is_said_of_an_arm_that_met_too_little():
    one = made(7)
    said = claims_sentence("bandit", table_of(one, one), concludes=False)
    assert "too little to conclude" in said
    assert not any(outcome in said for outcome in (KEPT, BROKEN))
