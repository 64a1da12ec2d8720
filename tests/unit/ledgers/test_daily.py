"""The ledger by day: sums worked out by hand, marks, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import DataMissingError, LedgerError
from sizewise.dataset.regimes import LABELS
from sizewise.ledgers import daily, metrics

TREND, CALM = LABELS[0], LABELS[2]


def path(
    arm="a", symbol="A", fold=0, seed=1, equity=(1000.0, 1100.0, 990.0, 1089.0), start="2020-01-01"
) -> pd.DataFrame:
    """Four bars, 12 hours apart: the first two on one day. Regimes TREND, TREND, CALM, TREND; 1% of equity is paid."""
    times = pd.date_range(start, periods=len(equity), freq="12h", tz="UTC")
    values = {"arm": arm, "symbol": symbol, "fold": fold, "seed": seed, "timestamp": times, "equity": equity}
    frame = pd.DataFrame(values)
    paid = 0.01 * frame["equity"].to_numpy() * [0.0, 1.0, 1.0, 1.0][: len(frame)]
    costs = {"fees": -0.5 * paid, "slippage": -0.25 * paid, "borrow": -0.15 * paid, "funding": -0.1 * paid}
    costs |= {"impact": 0.0, "liquidation": 0.0}
    position = {"position_frac": [0.0, 0.2, -0.1, 0.3][: len(frame)]}
    return frame.assign(**position, **costs, regime=[TREND, TREND, CALM, TREND][: len(frame)])


def days_of(*paths: pd.DataFrame) -> pd.DataFrame:
    return daily.day_rows(pd.concat(paths, ignore_index=True))


def test_a_row_a_day_and_regime():
    rows = days_of(path())
    assert list(rows.columns) == list(daily.DAILY_COLUMNS)
    assert rows["day"].dt.strftime("%d").tolist() == ["01", "02", "02"]
    assert rows["regime"].tolist() == [TREND, TREND, CALM]
    assert rows["bars"].tolist() == [2, 1, 1]
    assert rows["log_growth"].tolist() == pytest.approx([np.log(1.1), np.log(1.1), np.log(0.9)])
    assert rows["simple_growth"].tolist() == pytest.approx([0.1, 0.1, -0.1])
    assert rows["position"].tolist() == pytest.approx([0.2, 0.3, 0.1])
    assert rows["paid"].tolist() == pytest.approx([0.01, 0.01, 0.01])
    # Of the equity before: 11 of 1000, 10.89 of 990, 9.9 of 1100; half of it fees.
    assert rows["fees"].tolist() == pytest.approx([-0.0055, -0.0055, -0.0045])
    assert rows["funding"].tolist() == pytest.approx([-0.0011, -0.0011, -0.0009])
    assert rows["least_frac"].tolist() == pytest.approx([0.99] * 3)


def test_paths_start_afresh():
    rows = days_of(path(), path(seed=2, equity=(500.0, 550.0, 495.0, 544.5)), path(fold=1, start="2020-02-01"))
    assert len(rows) == 9
    assert rows["log_growth"].tolist() == pytest.approx([np.log(1.1), np.log(1.1), np.log(0.9)] * 3)
    # Seeds of a fold walk the same bars; another fold does not.
    assert rows.groupby("fold")["bars_hash"].agg(set).map(len).tolist() == [1, 1]
    assert len(set(rows["bars_hash"])) == 2


def test_marks_are_a_ledger_of_day_ends():
    found = daily.marks(days_of(path(), path("b", seed=7)), "a")
    # The start, the least equity of any bar, then the days.
    assert found["equity"].tolist() == pytest.approx([1.0, 0.99, 1.1, 1.21, 1.089])
    assert found["position_frac"].tolist() == pytest.approx([0.0, 0.0, 0.1, 0.3, 0.1])
    assert found["timestamp"].is_monotonic_increasing
    assert found["timestamp"].is_unique
    assert found["timestamp"].dt.strftime("%d").tolist() == ["01", "01", "01", "02", "02"]
    assert set(found["seed"]) == {1}
    assert metrics.daily_returns(found)["A"].tolist() == pytest.approx([np.log(1.1), np.log(0.99)])


def test_exposure_is_over_bars_and_not_over_rows():
    assert daily.exposure_pct(days_of(path()), "a") == pytest.approx(100 * 0.6 / 4)


def test_ruin_is_read_from_the_least_equity():
    # It falls to 9% inside a day that it ends above.
    ruined = path(seed=2, equity=(1000.0, 90.0, 500.0, 500.0))
    table = daily.path_table(days_of(path(), ruined), ruin_frac=0.10)
    assert table["ruined"].tolist() == [False, True]
    assert table["least_frac"].tolist() == pytest.approx([0.99, 0.09])
    assert table["bars"].tolist() == [4, 4]
    assert table["log_growth"].tolist() == pytest.approx([np.log(1.089), np.log(0.5)])


def test_equity_that_is_gone_is_no_growth_that_can_be_averaged():
    rows = days_of(path(), path(seed=2, equity=(1000.0, -5.0, -5.0, 0.0)))
    assert np.isneginf(daily.daily_returns(rows, "a").to_numpy()).all()
    assert rows.loc[rows["seed"] == 2, "least_frac"].iloc[0] == pytest.approx(-0.005)


def test_the_difference_of_two_arms():
    still = path("b", seed=0, equity=(1000.0,) * 4)
    assert daily.difference(days_of(path(), still), "a", "b").tolist() == pytest.approx([np.log(1.1), np.log(0.99)])
    same = daily.difference(days_of(path(), path("b")), "a", "b")
    assert same.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("other", "place"),
    [
        (path("b", start="2020-01-01 01:00"), "A in fold 0"),
        (path("b", fold=1), "A in fold 0"),
        (path("b", symbol="B"), "A in fold 0"),
        (path("b", equity=(1000.0,) * 3), "A in fold 0"),
    ],
    ids=["shifted", "fold", "symbol", "shorter"],
)
def test_other_bars_are_refused(other, place):
    with pytest.raises(LedgerError, match=f"a and b cover different bars of {place}: compare ledgers of one"):
        daily.difference(days_of(path(), other), "a", "b")


@pytest.mark.parametrize(
    "rows", [[0, 2, 1, 3, 4, 5, 6, 7], [0, 1, 4, 5, 6, 7, 2, 3]], ids=["out of order", "not together"]
)
def test_a_torn_path_is_refused(rows):
    frame = pd.concat([path(), path(seed=2)], ignore_index=True)
    with pytest.raises(
        LedgerError, match="ledger of a, A, fold 0, seed 1: its rows are not together and in order: sort"
    ):
        daily.day_rows(frame.iloc[rows].reset_index(drop=True))


def test_no_rows_are_refused():
    with pytest.raises(LedgerError, match="a ledger without rows has no days"):
        daily.day_rows(path().iloc[:0])


def test_a_missing_ledger_or_arm_is_named(tmp_path):
    with pytest.raises(DataMissingError, match=r"daily\.parquet is missing from artifacts/ledger: run `dvc repro walk"):
        daily.read_daily(tmp_path)
    days_of(path(), path("b")).to_parquet(tmp_path / daily.DAILY, index=False)
    assert set(daily.read_daily(tmp_path, ["b"])["arm"]) == {"b"}
    with pytest.raises(DataMissingError, match=r"daily\.parquet has no arm 'c'"):
        daily.read_daily(tmp_path, ["b", "c"])
