"""Orders read back from a ledger: entries, resizes and exits, however far the price has carried the position since."""

import numpy as np
import pandas as pd
import pytest

from sizewise.ledgers.orders import ordered_sizes, round_trips, sizes_in_force, unit_results

from ...hand_orders import ordered_path

MOVES = [0.1, 0.5, -0.2, 0.3, 0.1, 0.0]


def test_a_drifting_position_is_one_order():
    rows = ordered_path([0.2, None, None, 0.0, None, None], MOVES)
    assert rows["position_frac"].iloc[1] > 0.27
    assert ordered_sizes(rows).tolist() == pytest.approx([0.0, 0.2, 0.2, 0.2, 0.0, 0.0])
    assert unit_results(rows)[1:4].tolist() == pytest.approx(MOVES[1:4])
    assert np.isnan(unit_results(rows)[[0, 5]]).all()


def test_resizes_and_turns_are_orders_too():
    rows = ordered_path([0.2, None, 0.1, -0.3, None, None], MOVES)
    assert ordered_sizes(rows).tolist() == pytest.approx([0.0, 0.2, 0.2, 0.1, -0.3, -0.3])
    # Short of a bar that rises by a tenth.
    assert unit_results(rows)[1:].tolist() == pytest.approx([*MOVES[1:4], -0.1, 0.0])


def test_the_row_of_an_exit_belongs_to_the_size_before():
    rows = ordered_path([0.2, None, 0.0, None, None, None], MOVES)
    assert sizes_in_force(rows).tolist() == pytest.approx([0.0, 0.2, 0.2, 0.2, 0.0, 0.0])


def test_paths_are_apart():
    both = pd.concat([ordered_path([0.2] + [None] * 5, MOVES), ordered_path([None] * 6, MOVES, symbol="ETH")])
    assert ordered_sizes(both)[6:].tolist() == [0.0] * 6
    again = pd.concat([both.iloc[:6], ordered_path([0.4] + [None] * 5, MOVES, seed=1)])
    assert ordered_sizes(again).tolist() == pytest.approx([0.0] + [0.2] * 5 + [0.0] + [0.4] * 5)


def test_round_trips_by_hand():
    rows = ordered_path([0.2, None, 0.0, -0.4, None, None], MOVES, cost_frac=0.001)
    found = round_trips(rows)
    assert found["entry_time"].tolist() == [rows["timestamp"][1], rows["timestamp"][4]]
    assert found["size"].tolist() == pytest.approx([0.2, 0.4])
    # Up by half, down by a fifth: 1.5 x .8 - 1 of what was ordered; then short for a rise of a tenth and of nothing.
    assert found["gross"].tolist() == pytest.approx([0.2, -0.1])
    # Of what is bought, and of what it has become when it is sold.
    assert found["cost"].tolist() == pytest.approx([0.001 * (1.0 + 1.2), 0.001])
    assert round_trips(ordered_path([None] * 6, MOVES)).empty
