"""Orders, fills, flags and flows."""

import torch

from sizewise.trading.broker.orders import Flag, Flows, Kind, Orders


def test_flows_add_up():
    flows = Flows(*(torch.tensor([value]) for value in (10.0, -1.0, -0.5, -0.25, 0.125, -2.0, -3.0)))
    assert flows.total().tolist() == [3.375]


def test_flags_are_bits_that_fit_an_int16():
    assert [flag.value for flag in Flag] == [2**bit for bit in range(13)]
    assert sum(Flag) < 2**15
    assert Flag.PLACED | Flag.ROLLED == 3


def test_kinds_count_from_zero():
    assert [kind.value for kind in Kind] == list(range(6))


def test_nothing_is_ordered_unless_it_is_said():
    assert all(field is None for field in Orders())
