"""Report 04's words are about the comparison at hand."""

from types import SimpleNamespace

import pandas as pd
import pytest

from sizewise.params.dataset.splits import Splits
from sizewise.reports import compare

DAYS = pd.Series(0.0, pd.date_range("2020-01-01", periods=731, tz="UTC"))


def limitations(monkeypatch, *, symbols=1, seeds=10, anchored=3, learned=True, sealed="2022-06-01", doubts=("few",)):
    rows = pd.DataFrame({"symbol": [f"s{i}" for i in range(symbols) for _ in range(seeds)]})
    rows["seed"] = list(range(seeds)) * symbols
    monkeypatch.setattr(compare, "arm_days", lambda daily, name: rows)
    study = SimpleNamespace(
        daily=None,
        plan=SimpleNamespace(candidate="mine"),
        arms={"mine": SimpleNamespace(learned=learned)},
        splits=Splits(test_starts=("2020-01-01",), end="2022-01-01", sealed_end=sealed),
    )
    other = SimpleNamespace(seeds=SimpleNamespace(n_seeds=anchored), doubts=doubts)
    return compare.limitations(study, SimpleNamespace(daily=DAYS), other)


def test_span_and_series_are_those_of_the_test(monkeypatch):
    assert limitations(monkeypatch).startswith("A test on 2.0 years of one series sees only large effects")
    assert "of 17 series" in limitations(monkeypatch, symbols=17)


def test_seeds_are_spoken_of_where_something_was_trained(monkeypatch):
    assert "fewer seeds than the candidate, so that they alone are inconclusive" in limitations(monkeypatch)
    assert "fewer seeds" not in limitations(monkeypatch, anchored=10)
    assert "less certain" in limitations(monkeypatch, doubts=())
    assert "Seeds" not in limitations(monkeypatch, learned=False)


@pytest.mark.parametrize(("sealed", "said"), [("2022-06-01", True), (None, False)])
def test_a_seal_is_spoken_of_where_there_is_one(monkeypatch, sealed, said):
    assert ("the sealed slice starts" in limitations(monkeypatch, sealed=sealed)) == said


def test_without_a_table_nothing_was_promised():
    assert compare.claims_sentences({}, {}) == "No arm of `params.yaml` is a table: nothing was promised here."
    assert compare.claims_by_table({}) == []


def test_promises_say_whose_they_are():
    one = pd.DataFrame({"outcome": ["kept"]}, index=pd.Index(["growth"], name="claim"))
    (table,) = compare.claims_by_table({"q_table": one, "bandit": one})
    assert table.index.tolist() == [("q_table", "growth"), ("bandit", "growth")]
    assert table.index.names == ["table", "claim"]
