"""Sizes on held bars: seeds averaged, decided before the bar, and refused where the arms do not share a signal."""

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import LedgerError
from sizewise.evidence.statistics.placebo import held_sizes

TIMES = pd.date_range("2020-01-01", periods=6, freq="h", tz="UTC")


def path(
    position: list[float], *, symbol: str = "BTC", seed: int = 0, price: list[float] | None = None
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "symbol": symbol,
            "fold": 0,
            "seed": seed,
            "timestamp": TIMES,
            "equity": [100.0, 100.0, 110.0, 121.0, 121.0, 121.0],
            "position_frac": position,
            "price_pnl": price or [0.0, 0.0, 10.0, 11.0, 0.0, 0.0],
        }
    )


LONG = [0.0, 0.2, 0.2, 0.0, 0.0, 0.0]


def test_a_bar_counts_with_the_size_carried_into_it():
    found = held_sizes(path(LONG), path([0.0, 0.1, 0.3, 0.0, 0.0, 0.0]))
    assert found["unit_result"].tolist() == pytest.approx([0.5, 0.5])
    assert found["reference_size"].tolist() == pytest.approx([0.2, 0.2])
    assert found["size_ratio"].tolist() == pytest.approx([0.5, 1.5])
    assert found["symbol"].tolist() == ["BTC", "BTC"]


def test_seeds_are_averaged_and_a_flat_bar_is_a_size_of_none():
    other = pd.concat([path([0.0, 0.1, 0.2, 0.0, 0.0, 0.0], seed=1), path([0.0] * 6, seed=2)])
    assert held_sizes(path(LONG), other)["size_ratio"].tolist() == pytest.approx([0.25, 0.5])


def test_nothing_is_carried_from_path_to_path():
    both = [path([0.0, 0.2, 0.2, 0.2, 0.2, 0.2]), path(LONG, symbol="ETH")]
    found = held_sizes(pd.concat(both), pd.concat(both))
    assert found.groupby("symbol").size().to_dict() == {"BTC": 4, "ETH": 2}
    np.testing.assert_allclose(found["size_ratio"], 1.0)


def test_a_short_is_a_size_too():
    short = [-value for value in LONG]
    found = held_sizes(path(short), path([value / 2 for value in short]))
    assert found["size_ratio"].tolist() == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize(
    "position", [[0.0, -0.2, 0.2, 0.0, 0.0, 0.0], [0.0, 0.2, 0.2, 0.2, 0.0, 0.0]], ids=["other side", "beyond the exit"]
)
def test_another_signal_is_refused(position):
    with pytest.raises(LedgerError, match=r"BTC, fold 0, 2020-01-01 0\d:00, and on 1 of \d held bars in all: the arms hold"):
        held_sizes(path(LONG), path(position))


def test_other_bars_and_a_reference_with_seeds_are_refused():
    with pytest.raises(LedgerError, match="seed 0: the arms cover different bars"):
        held_sizes(path(LONG), path(LONG).iloc[:-1])
    moved = path(LONG).assign(timestamp=TIMES + pd.Timedelta("1h"))
    with pytest.raises(LedgerError, match="different bars"):
        held_sizes(path(LONG), moved)
    with pytest.raises(LedgerError, match="several seeds"):
        held_sizes(pd.concat([path(LONG), path(LONG, seed=1)]), path(LONG))


def test_what_a_rule_of_the_venue_kept_apart_is_left_out_and_counted():
    """Twenty bars held alike; on the last two the reference's order was refused, so that there is no ratio."""
    times = pd.date_range("2020-01-01", periods=24, freq="h", tz="UTC")
    columns = {"symbol": "BTC", "fold": 0, "seed": 0, "timestamp": times, "equity": 100.0, "price_pnl": 1.0}
    reference = pd.DataFrame({**columns, "position_frac": [0.0] + [0.2] * 20 + [0.0] * 3})
    other = reference.assign(position_frac=[0.0] + [0.1] * 22 + [0.0])
    found = held_sizes(reference, other)
    assert len(found) == 20
    assert found.attrs["left_out"] == 2
    np.testing.assert_allclose(found["size_ratio"], 0.5)
