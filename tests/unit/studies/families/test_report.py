"""What the page says of the families follows from its table: nobody above the null, somebody, and everybody."""

import pandas as pd
import pytest

from sizewise.studies.families import report
from sizewise.studies.families.study import FamilyRun

COLUMNS = ["trades", "days", "gross_bps", "gross_se_bps", "cost_bps", "net_bps", "sharpe_constant", "sharpe_atr"]


def table(*rows: tuple[str, float, float, float]) -> pd.DataFrame:
    """Rows of (family, net_bps, sharpe_constant, sharpe_atr)."""
    values = [[10.0, 5.0, net + 20.0, 3.0, 20.0, net, constant, atr] for _, net, constant, atr in rows]
    return pd.DataFrame(values, index=[name for name, *_ in rows], columns=COLUMNS).rename_axis("family")


NULL = (("random 1", -20.0, -0.2, -0.1), ("random 2", -10.0, 0.1, 0.3))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            (("donchian", 40.0, 0.3, 0.6), ("reversal", -5.0, -0.4, -0.3)),
            "Trades of 1 of 2 families earn more than they cost (donchian). Under ATR sizes 1 of them have a Sharpe ratio "
            "above all 2 draws of the null (donchian), which lie from -0.10 to 0.30. ATR sizes have the higher Sharpe ratio "
            "than constant ones in 2 of 2 families.",
        ),
        (
            (("donchian", -40.0, 0.3, 0.2),),
            "Trades of 0 of 1 families earn more than they cost. Under ATR sizes 0 of them have a Sharpe ratio above all 2 "
            "draws of the null, which lie from -0.10 to 0.30. ATR sizes have the higher Sharpe ratio than constant ones in "
            "0 of 1 families.",
        ),
    ],
    ids=["some", "none"],
)
def test_the_sentence_says_who_covers_costs_and_who_passes_the_null(rows, said):
    assert report.families_sentence(table(*rows, *NULL)) == said


def test_the_null_is_one_row_of_the_table_and_a_span_of_the_metrics():
    whole = table(("donchian", 40.0, 0.3, 0.6), *NULL)
    shown = report.families_table(whole)
    assert shown.index.tolist() == ["donchian", "random (mean of 2)"]
    assert shown.loc["random (mean of 2)", "net_bps"] == -15.0
    found = report.metrics(whole)
    assert found["donchian"]["net_bps"] == 40.0
    assert found["null"] == {
        "draws": 2,
        "sharpe_constant_min": -0.2,
        "sharpe_constant_max": 0.1,
        "sharpe_atr_min": -0.1,
        "sharpe_atr_max": 0.3,
    }


def test_the_figure_draws_every_family_and_no_draw(drawn):
    figure = report.sharpe_figure(table(("donchian", 40.0, 0.3, 0.6), ("reversal", -5.0, -0.4, -0.3), *NULL))
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["donchian", "reversal"]


def test_results_by_symbol():
    trades = pd.DataFrame({"symbol": ["A", "A", "B"], "net_return": [0.01, 0.03, -0.01]})
    shown = report.by_symbol(
        {"donchian": FamilyRun(trades, pd.DataFrame()), "random 1": FamilyRun(trades, pd.DataFrame())}
    )
    assert shown.loc["donchian"].tolist() == ["200 (2)", "-100 (1)"]
    assert shown.index.tolist() == ["donchian"]
