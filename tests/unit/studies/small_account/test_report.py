"""Notebook 12: the check that no curve is flat can fail, and words and metrics follow the numbers."""

from types import SimpleNamespace

import pandas as pd
import pytest

from sizewise.params.studies.small_account import SmallAccount
from sizewise.studies.small_account.curve import spread_by_symbol
from sizewise.studies.small_account.report import account_table, checks, curve_sentences, leave

SMALL = SmallAccount(
    reference="atr", seeds=(1,), iterations=1, symbols=("A", "B"), initial_equities=(500.0, 1e5), least_spread_bps=0.01
)
FLAT, STEEP = (0.5, 0.5 + 1e-9), (0.1, 0.5)


def curve(a: tuple[float, float], b: tuple[float, float]) -> pd.DataFrame:
    rows = []
    for symbol, growth in (("A", a), ("B", b)):
        for arm in ("atr", "smallest"):
            for size, bps in zip(SMALL.initial_equities, growth, strict=True):
                counts = {
                    "trades": 4,
                    "below_min": 2,
                    "day_trade": 1,
                    "rounding_cost": 1.25,
                    "day_trade_limit_cost": -0.5,
                }
                rows.append({"arm": arm, "symbol": symbol, "initial_equity": size, "growth_bps_per_day": bps, **counts})
    return pd.DataFrame(rows)


def test_the_account_is_design_as():
    values = SMALL.account.model_dump()
    assert (values["initial_equity"], values["safety_buffer_frac"]) == (1000.0, 0.30)
    assert (values["base_alloc_frac"], values["max_position_frac"]) == (0.15, 0.20)
    assert list(account_table(SMALL).index) == list(values)


def test_the_spread_is_of_the_rule_that_differs_most():
    table = curve(STEEP, FLAT)
    table.loc[(table["arm"] == "atr") & (table["symbol"] == "A"), "growth_bps_per_day"] = 0.3
    assert spread_by_symbol(table).to_dict() == {"A": pytest.approx(0.4), "B": pytest.approx(1e-9)}


@pytest.mark.parametrize(
    ("b", "held", "words"),
    [(STEEP, True, "check holds: no curve is flat."), (FLAT, False, "check fails. Not so: B is not flat.")],
)
def test_a_flat_curve_fails_the_check(b, held, words):
    table = curve(STEEP, b)
    assert checks(table, SMALL) == {"A is not flat": True, "B is not flat": held}
    said = curve_sentences(table, SMALL)
    assert said.endswith(words)
    assert "at $500 lots and minimum orders cost $2.50 and refuse 4 orders, the day-trade limit $-1.00 and 2" in said


def test_what_is_left_behind():
    kept = {}
    stage = SimpleNamespace(params=SimpleNamespace(small_account=SMALL), write_metrics=kept.update)
    leave(stage, {"verdict": "inconclusive"}, curve(STEEP, FLAT))
    assert kept["verdict"] == {"verdict": "inconclusive"}
    assert kept["checks"] == {"A is not flat": True, "B is not flat": False}
    assert kept["curve"]["A"]["atr"]["500"]["growth_bps_per_day"] == 0.1
    assert kept["curve"]["B"]["smallest"]["100000"]["below_min"] == 2
