"""Every asset counts alike, and series of one asset share its weight; the declaration travels with the frames."""

import numpy as np
import pandas as pd
import pytest

from sizewise.ledgers import metrics
from sizewise.ledgers.weights import assets_of, live_by_block, live_symbols, mark_assets, weights

NAMES = {"B1": "B", "B2": "B"}
DAYS = pd.date_range("2020-01-01", periods=4, tz="UTC", name="day")
NAN = float("nan")


@pytest.fixture
def daily() -> pd.DataFrame:
    """Two series of one coin and a share: all live, one of the coin's, the share alone, nothing."""
    table = {"B1": [0.01, 0.02, NAN, NAN], "B2": [0.03, NAN, NAN, NAN], "S": [0.05, 0.06, 0.07, NAN]}
    return mark_assets(pd.DataFrame(table, index=DAYS), NAMES)


def test_series_of_one_asset_share_its_weight(daily):
    expected = [[0.25, 0.25, 0.5], [0.5, 0.0, 0.5], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    assert weights(daily).to_numpy().tolist() == expected
    assert metrics.portfolio(daily).tolist()[:3] == pytest.approx([0.035, 0.04, 0.07])
    assert np.isnan(metrics.portfolio(daily).iloc[3])
    assert live_symbols(daily).tolist() == [3, 2, 1, 0]


def test_undeclared_symbols_are_each_an_asset(daily):
    plain = mark_assets(daily.copy(), {})
    assert metrics.portfolio(plain).tolist()[:2] == pytest.approx([0.03, 0.04])
    assert weights(plain).iloc[0].tolist() == pytest.approx([1 / 3] * 3)
    # An asset of one symbol changes nothing.
    alone = mark_assets(daily.copy(), {"S": "stock"})
    assert metrics.portfolio(alone).iloc[:3].tolist() == pytest.approx(metrics.portfolio(plain).iloc[:3].tolist())


def test_parts_of_several_levels_are_told_by_their_symbol(daily):
    parts = pd.concat({"price": daily}, axis=1, names=["part", "symbol"])
    assert metrics.portfolio(mark_assets(parts, NAMES)).tolist()[:3] == pytest.approx([0.035, 0.04, 0.07])


def test_what_a_frame_was_told_outlives_what_is_done_to_it(daily, tmp_path):
    other = daily.copy()
    made = [
        daily - other,
        daily.where(daily > 0.02),
        daily.reindex(DAYS[:2]),
        daily[daily["S"] > 0.05].reset_index(drop=True),
        pd.concat([daily, other]),
    ]
    daily.to_parquet(tmp_path / "daily.parquet")
    made.append(pd.read_parquet(tmp_path / "daily.parquet", columns=["B1"], filters=[("S", ">", 0.05)]))
    for frame in made:
        assert assets_of(frame) == NAMES


def test_a_block_says_who_was_live_in_it(daily):
    classes = {"B1": "coin", "B2": "coin", "S": "share"}
    table = live_by_block(daily, classes, DAYS[:3], 2)
    # numpy cuts three days in two and one.
    assert table["first_day"].tolist() == ["2020-01-01", "2020-01-03"]
    assert table["last_day"].tolist() == ["2020-01-02", "2020-01-03"]
    assert table["live_symbols"].tolist() == [2.5, 1.0]
    assert table["coin"].tolist() == [50.0, 0.0]
    assert table["share"].tolist() == [50.0, 100.0]
    assert live_by_block(daily, {}, DAYS[:3], 2)["unknown"].tolist() == [100.0, 100.0]
