"""Rows on declining days: the labels of their UTC days, and nothing of a day to come."""

from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from sizewise.dataset import slices
from sizewise.dataset.declines import declining_rows
from sizewise.params.evidence.slices import Slices

from ...hand_market import make_market

RULES = Slices(declining_days=3, declining_frac=0.02)
GIVEN = {"days": RULES.declining_days, "frac": RULES.declining_frac}


def market_of(close=None):
    market = make_market(400, symbols=2, elapsed_days=np.full(800, 1 / 24))
    if close is None:
        return market
    return replace(market, tape=market.tape.changed(close=close))


def test_rows_have_the_labels_of_their_days():
    market = market_of()
    found = declining_rows(market, **GIVEN).numpy()
    for first in (0, 400):
        rows = slice(first, first + 400)
        frame = pd.DataFrame({"close": market.close.numpy()[rows]}, index=market.times[rows])
        labels = slices.decline_labels(frame, RULES)
        expected = labels.loc[frame.index.floor("D")] == "declining"
        assert expected.any()
        assert not expected.all()
        np.testing.assert_array_equal(found[rows], expected)


def test_a_day_knows_nothing_of_itself():
    market = market_of()
    close = market.tape.column("close").clone()
    days = market.times[:400].floor("D")
    cut = int(np.flatnonzero(days == days[300])[0])
    close[cut:400] *= 0.1
    one, two = (declining_rows(given, **GIVEN) for given in (market, market_of(close)))
    same_day = int((days <= days[300]).sum())
    assert torch.equal(one[:same_day], two[:same_day])
    assert not torch.equal(one[same_day:400], two[same_day:400])
