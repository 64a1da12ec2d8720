"""Isolated margin by hand."""

import pytest
import torch

from sizewise.trading.broker.book import Margin


def exact(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


# 10 at 100 on a margin of 200 (5:1); one long, one short, and nobody.
UNITS = exact(10.0, -10.0, 0.0)
MARGIN = Margin(exact(100.0, 100.0, 0.0), exact(200.0, 200.0, 0.0))


def test_liquidation_comes_where_margin_has_fallen_to_maintenance():
    # (1000 - 200) / (10 x .9) and (1000 + 200) / (10 x 1.1).
    price = MARGIN.liquidation_price(UNITS, exact(0.1))
    assert price.tolist() == pytest.approx([800 / 9, 1200 / 11, 0.0])
    left = MARGIN.posted + UNITS * (price - MARGIN.entry)
    assert left[:2].tolist() == pytest.approx((0.1 * UNITS.abs() * price)[:2].tolist())


def test_without_maintenance_it_is_where_margin_is_gone():
    assert MARGIN.liquidation_price(UNITS, exact(0.0)).tolist() == pytest.approx([80.0, 120.0, 0.0])


def test_a_position_locks_margin_and_gain_whatever_the_price():
    for price in (50.0, 100.0, 130.0):
        locked = MARGIN.posted + UNITS * (price - MARGIN.entry)
        assert (UNITS * price - locked).tolist() == pytest.approx(MARGIN.locked_gap(UNITS).tolist())


def test_closing_releases_margin_in_proportion():
    after = MARGIN.after_closing(UNITS, exact(2.5, 0.0, 0.0))
    assert after.posted.tolist() == [50.0, 0.0, 0.0]
    assert after.entry[0].item() == 100.0


def test_opening_averages_the_entry_and_posts_its_own_margin():
    # 10 at 100 and 30 at 120: 115. 3600 at 2:1 on top of 200. A first position; and none.
    opened = exact(30.0, 0.0, -4.0)
    after = MARGIN.after_opening(UNITS, opened, exact(120.0), exact(2.0, 2.0, 4.0))
    assert after.entry.tolist() == pytest.approx([115.0, 100.0, 120.0])
    assert after.posted.tolist() == pytest.approx([2000.0, 200.0, 120.0])


def test_opening_at_the_account_s_leverage():
    assert MARGIN.after_opening(UNITS, exact(1.0, 0.0, 0.0), exact(100.0), 5.0).posted.tolist() == [220.0, 200.0, 0.0]
