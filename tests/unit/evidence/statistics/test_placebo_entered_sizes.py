"""Sizes at entries: as ordered, seeds averaged, and refused where the arms do not share a signal."""

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import LedgerError
from sizewise.evidence.statistics.placebo import entered_sizes, rotation_placebo

from ....hand_orders import ordered_path

MOVES = [0.1, 0.5, -0.2, 0.3, 0.1, 0.0]
LONG = [0.2, None, 0.0, None, None, None]


def path(orders, **given) -> pd.DataFrame:
    return ordered_path(orders, MOVES, **given)


def test_a_trade_counts_with_the_size_that_it_is_entered_with():
    """What is resized on the way changes nothing; what one unit earns is the sum over its bars."""
    found = entered_sizes(path(LONG), path([0.1, 0.3, 0.0, None, None, None]))
    assert found["unit_result"].tolist() == pytest.approx([0.3])
    assert found["reference_size"].tolist() == pytest.approx([0.2])
    assert found["size_ratio"].tolist() == pytest.approx([0.5])
    assert found["symbol"].tolist() == ["BTC"]


def test_a_trade_lasts_from_its_entry_to_the_bar_at_whose_open_it_ends():
    turned = path([0.2, -0.2, 0.0, -0.1, None, None])
    later = path(LONG, fold=1)
    found = entered_sizes(pd.concat([turned, later]), pd.concat([turned, later]))
    assert found[["fold", "window"]].to_numpy().tolist() == [[0, 0], [0, 0], [0, 0], [1, 1]]
    # Two shorts: the first loses nothing on a fall, and ends at the open of a bar in which nothing is held.
    assert found["unit_result"].tolist() == pytest.approx([0.5, 0.2, -0.1, 0.3])


def test_seeds_are_averaged_and_no_position_is_a_size_of_none():
    other = pd.concat([path([0.1, 0.2, 0.0, None, None, None], seed=1), path([None] * 6, seed=2)])
    assert entered_sizes(path(LONG), other)["size_ratio"].tolist() == pytest.approx([0.25])


def test_nothing_is_carried_from_path_to_path():
    both = [path([0.2] + [None] * 5), path(LONG, symbol="ETH")]
    found = entered_sizes(pd.concat(both), pd.concat(both))
    assert found["symbol"].tolist() == ["BTC", "ETH"]
    assert found["unit_result"].tolist() == pytest.approx([0.7, 0.3])
    np.testing.assert_allclose(found["size_ratio"], 1.0)


def test_a_short_is_a_size_too():
    short = [None if order is None else -order for order in LONG]
    half = [None if order is None else order / 2.0 for order in short]
    assert entered_sizes(path(short), path(half))["size_ratio"].tolist() == pytest.approx([0.5])


def test_sizes_that_only_rounding_parts_are_one_size():
    near = [0.2, 0.0, 0.2019, 0.0, None, None]
    assert entered_sizes(path(near), path(near))["reference_size"].tolist() == pytest.approx([0.20095] * 2)
    apart = [0.2, 0.0, 0.2021, 0.0, None, None]
    assert entered_sizes(path(apart), path(apart))["reference_size"].tolist() == pytest.approx([0.2, 0.2021])


def test_a_constant_size_that_drifts_with_a_trend_is_no_timing():
    """Ten long trends that end in a fall: what is held grows with the price, and no decision is made."""
    rng = np.random.default_rng(0)
    moves = np.concatenate([np.append(np.full(30, 0.01) + rng.normal(0.0, 0.002, 30), [-0.2, 0.0]) for _ in range(10)])
    orders = ([0.1] + [None] * 30 + [0.0]) * 10
    rows = ordered_path(orders, moves)
    held = rows["position_frac"].shift(1).fillna(0.0)
    unit = np.where(held > 0.0, moves, 0.0)
    found = entered_sizes(rows, rows)
    settings = {"draws": 199, "rng": rng}
    sizes = np.log(found["reference_size"].to_numpy())
    group = found["symbol"].to_numpy()
    assert len(found) == 10
    assert rotation_placebo(found["unit_result"].to_numpy(), sizes, group, **settings).p_value == 1.0
    # As held, bar by bar, the same orders look like the opposite of skill.
    there = held.to_numpy() > 0.0
    drift = rotation_placebo(unit[there], np.log(held.to_numpy()[there]), np.zeros(there.sum()), **settings)
    assert drift.observed < np.median(drift.rotated) - drift.rotated.std()


@pytest.mark.parametrize(
    "orders",
    [[-0.2, 0.2, 0.0, None, None, None], [0.2, None, None, 0.0, None, None]],
    ids=["other side", "beyond the exit"],
)
def test_another_signal_is_refused(orders):
    with pytest.raises(
        LedgerError, match=r"BTC, fold 0, 2020-01-01 0\d:00, and on 1 of \d held bars in all: the arms hold"
    ):
        entered_sizes(path(LONG), path(orders))


def test_other_bars_and_a_reference_with_seeds_are_refused():
    with pytest.raises(LedgerError, match="seed 0: the arms cover different bars"):
        entered_sizes(path(LONG), path(LONG).iloc[:-1])
    moved = path(LONG)
    moved["timestamp"] += pd.Timedelta("1h")
    with pytest.raises(LedgerError, match="different bars"):
        entered_sizes(path(LONG), moved)
    with pytest.raises(LedgerError, match="several seeds"):
        entered_sizes(pd.concat([path(LONG), path(LONG, seed=1)]), path(LONG))


def test_what_a_rule_of_the_venue_kept_apart_is_left_out_and_counted():
    """Forty bars held alike; then the other's exit is refused for a bar, in which the reference turns around."""
    moves = np.full(46, 0.01)
    reference = ordered_path([0.2] + [None] * 39 + [-0.2, 0.0, None, None, None, None], moves)
    other = ordered_path([0.1] + [None] * 39 + [None, 0.0, None, None, None, None], moves)
    found = entered_sizes(reference, other)
    assert found.attrs["left_out"] == 1
    assert len(entered_sizes(reference, reference)) == 2
    assert found["size_ratio"].tolist() == pytest.approx([0.5], rel=0.02)
