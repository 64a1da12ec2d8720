"""How a table is read: heads with units, digits by column, and a dash for what is missing."""

import numpy as np
import pandas as pd
import pytest

from sizewise.reports.page.table import as_read, html, plain, said


def cells(**columns: list) -> dict[str, list[str]]:
    shown = as_read(pd.DataFrame(columns))
    return {str(name): shown[name].tolist() for name in shown.columns}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("growth_bps_per_day", "growth (bps a day)"),
        ("effect_bps", "effect (bps)"),
        ("mde_bps", "detectable (bps)"),
        ("unmatched_vol_pct", "unmatched vol (%)"),
        ("n_days", "days"),
        ("calm_days", "calm (days)"),
        ("p_value", "p"),
        ("p_holm", "p, Holm"),
        # A symbol, and what is in words already.
        ("SPY_1d", "SPY_1d"),
        ("recovery (days)", "recovery (days)"),
    ],
)
def test_a_head_is_in_words_with_its_unit(name, words):
    assert said(name) == words


def test_digits_are_those_of_the_largest_of_a_column():
    assert cells(a=[0.0654, -0.31, 0.00001], b=[2.0654, 0.5, 0.1], c=[47.56, 4.0, 5.5]) == {
        "a": ["0.065", "-0.310", "0.000"],
        "b": ["2.07", "0.50", "0.10"],
        "c": ["47.6", "4.0", "5.5"],
    }


def test_numbers_of_several_quantities_have_places_of_their_own():
    assert cells(value=[1164.7692, 0.0933, 42.836]) == {"value": ["1,165", "0.093", "42.8"]}


def test_counts_and_whole_numbers_have_no_places():
    assert cells(trades=[1845.67, 2.0], n_days=[3856.0, np.nan], size=[20.0, 1000.0]) == {
        "trades": ["1,846", "2"],
        "days": ["3,856", "-"],
        "size": ["20", "1,000"],
    }


def test_a_p_value_has_three_places_and_is_never_nothing():
    assert cells(p_value=[0.49213, 0.00001, 0.0, np.nan, 1.0])["p"] == ["0.492", "<0.001", "<0.001", "-", "1.000"]


def test_nothing_is_below_nothing():
    assert cells(effect_bps=[-0.0001, 0.5])["effect (bps)"] == ["0.000", "0.500"]


def test_words_flags_and_days_are_said_as_one_says_them():
    assert cells(
        held=[True, False],
        day=pd.to_datetime(["2020-01-02", "2020-01-03"]),
        hour=pd.to_datetime(["2020-01-02 03:00", None]),
        mixed=[("a", 1), None],
        some=[np.bool_(True), 2.345],
    ) == {
        "held": ["yes", "no"],
        "day": ["2020-01-02", "2020-01-03"],
        "hour": ["2020-01-02 03:00", "-"],
        "mixed": ["a, 1", "-"],
        "some": ["yes", "2.35"],
    }


def test_a_column_without_a_value_is_left_out():
    assert list(cells(a=[1.0], b=[np.nan], c=[None])) == ["a"]


def test_a_row_is_called_what_a_reader_calls_it():
    table = pd.DataFrame({"power": [0.5, 0.8]}, index=pd.Index([0.109657, 0.239], name="effect_bps"))
    assert as_read(table).index.tolist() == ["0.110", "0.239"]
    assert as_read(table).index.name == "effect (bps)"
    years = pd.DataFrame({"a": [1, 2]}, index=[2011, 2012])
    assert as_read(years).index.tolist() == ["2011", "2012"]
    levels = pd.MultiIndex.from_tuples([(0.0, "ppo"), (1.0, "atr")], names=["multiple", "arm"])
    assert as_read(pd.DataFrame({"a": [1, 2]}, index=levels)).index.tolist() == [("0", "ppo"), ("1", "atr")]


def test_heads_of_several_levels_keep_them():
    table = pd.DataFrame([[1.5]], columns=pd.MultiIndex.from_tuples([("rule", "low_vol")], names=["by", "n_of"]))
    assert as_read(table).columns.tolist() == [("rule", "low vol")]
    assert as_read(table).columns.names == ["by", "of"]


def test_a_worksheet_keeps_the_places_it_asks_for():
    table = pd.DataFrame({"price": [28785.93, 0.5], "n": [1.0, 2.0]})
    table.attrs["places"] = 4
    assert as_read(table)["price"].tolist() == ["28,785.9300", "0.5000"]
    assert as_read(table)["n"].tolist() == ["1", "2"]


def test_an_infinite_number_is_not_hidden():
    assert cells(a=[np.inf, np.inf], b=[-np.inf, 1.5]) == {"a": ["∞", "∞"], "b": ["-∞", "1.50"]}


def test_it_is_shown_alike_in_a_page_and_in_a_terminal():
    table = pd.DataFrame({"effect_bps": [0.5]}, index=["<ppo>"])
    assert "<td>0.500</td>" in html(table)
    assert "&lt;ppo&gt;" in html(table)
    assert "effect (bps)" in plain(table)
    assert "Empty" in plain(pd.DataFrame())
