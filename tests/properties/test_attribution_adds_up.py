"""Whatever two arms held and paid, the parts of their difference add up to it on every day."""

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from sizewise.ledgers.columns import COSTS
from sizewise.studies.stress.attribution import attribute

from ..hand_ledger import ledger, same_days
from ..hand_market import make_market

ROWS = 60
MARKET = same_days(make_market(ROWS, symbols=2, seed=9))


def growth_by_day(path: pd.DataFrame) -> pd.Series:
    """Slow twin: one path's log growth a day."""
    log = np.log(path["equity"].to_numpy())
    days = path["timestamp"].dt.floor("D").to_numpy()
    return pd.Series(np.diff(log, prepend=log[0])).groupby(days).sum()


@st.composite
def arms(draw: st.DrawFn) -> tuple[list[pd.DataFrame], list[pd.DataFrame]]:
    """Paths of a candidate with one to three seeds, and of a reference, on one or two symbols."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    most = draw(st.sampled_from([0.2, 1.0, 5.0]))
    candidate, reference = [], []
    for symbol in MARKET.symbols[: draw(st.integers(1, 2))]:
        side = np.repeat(rng.integers(-1, 2, ROWS // 6), 6).astype(float)
        for seed in range(draw(st.integers(1, 3))):
            free = rng.choice([-1.0, 0.0, 1.0], ROWS) if draw(st.booleans()) else side
            costs = {name: -rng.uniform(0.0, 1e-3, ROWS) for name in COSTS}
            candidate.append(ledger(MARKET, free * rng.uniform(0.0, most, ROWS), symbol=symbol, seed=seed, costs=costs))
        costs = {"fees": -rng.uniform(0.0, 1e-3, ROWS)}
        held = side * rng.uniform(0.01, most, ROWS)
        held[ROWS // 2] = 0.1
        reference.append(ledger(MARKET, held, symbol=symbol, arm="reference", costs=costs))
    return candidate, reference


@settings(max_examples=15, deadline=None)
@given(arms())
def test_the_parts_add_up(made):
    candidate, reference = made
    if any((path["equity"] <= 0).any() for path in (*candidate, *reference)):
        return
    found = attribute(pd.concat(candidate), pd.concat(reference), MARKET)
    by_symbol = {}
    for other in reference:
        symbol = other["symbol"].iloc[0]
        mine = [growth_by_day(path) for path in candidate if path["symbol"].iloc[0] == symbol]
        by_symbol[symbol] = sum(mine) / len(mine) - growth_by_day(other)
    expected = pd.DataFrame(by_symbol)
    np.testing.assert_allclose(found.daily.sum(axis=1), expected.mean(axis=1), rtol=0.0, atol=1e-12)
    for symbol in by_symbol:
        parts = found.days.xs(symbol, axis=1, level="symbol")
        np.testing.assert_allclose(parts.sum(axis=1), expected[symbol], rtol=0.0, atol=1e-12)
