"""An edge of sizing planted on bars: after some decisions the market has a state, seen there, that shifts its returns.

The state is +1 or -1, drawn by itself for each decision, or 0 for most, so that nothing else a policy sees tells of it.
Until the next decision each session's return is shifted in favour of the trade that is on (+1) or against it (-1) by the
same share of the average true range: whoever knows the state takes twice the rule's size, or none. Signals and all other
inputs stay those of the real bars. A state of so short a life brings little noise of its own: were it a trade's, a few long
trades would hold all of the edge, and what is found would hang on where they lie.
"""

from dataclasses import replace

import numpy as np
import torch

from sizewise.dataset.features import names_with
from sizewise.dataset.market_tensor import Market


def draw_states(market: Market, decides: torch.Tensor | None, rng: np.random.Generator, share: float) -> np.ndarray:
    """+1 or -1 from a decision to the bar before the next one, 0 where no trade is on, or without a state: int8, (R,).

    Args:
        decides: bool (R,), see clock.decision_rows; None: at every close.
        share: of decisions that have a state, half of them +1.
    """
    live = market.direction.cpu().numpy() != 0
    asked = np.ones(len(live), dtype=bool) if decides is None else decides.cpu().numpy()
    odds = (share / 2.0, 1.0 - share, share / 2.0)
    drawn = rng.choice(np.array([-1, 0, 1], dtype=np.int8), size=int(asked.sum()) + 1, p=odds)
    return np.where(live, drawn[np.cumsum(asked)], 0).astype(np.int8)


def shifts(market: Market, states: np.ndarray, edge: float) -> np.ndarray:
    """What is added to the log return of each bar, open to close: float64, shape (R,).

    A bar is shifted by what was known at the close before it: the trade that is on, the state and the range.

    Args:
        edge: of a session, in average true ranges.
    """
    session = market.tape.column("session")[:, 0].cpu().numpy()
    known = market.direction.cpu().numpy() * states * market.atr_frac.cpu().numpy().astype(np.float64)
    found = np.zeros(len(known))
    for first, count in zip(market.first_row, market.n_rows, strict=True):
        rows = slice(first, first + count)
        _, of_bar, bars = np.unique(session[rows], return_inverse=True, return_counts=True)
        found[rows][1:] = edge * known[rows][:-1] / bars[of_bar][1:]
    return found


def planted(market: Market, states: np.ndarray, edge: float, *, seen_as: str) -> Market:
    """The market with shifted prices, and the state in place of a feature.

    Args:
        market: of one instrument an account. edge: of a session, in average true ranges. seen_as: the feature.
    """
    moved = shifts(market, states, edge)
    until = np.empty_like(moved)
    for first, count in zip(market.first_row, market.n_rows, strict=True):
        until[first : first + count] = np.cumsum(moved[first : first + count])
    factor = {"close": np.exp(until), "open": np.exp(until - moved)}
    factor["last_close"] = factor["open"]
    factor["high"], factor["low"] = np.maximum(*_ends(factor)), np.minimum(*_ends(factor))
    columns = {
        name: market.tape.column(name) * torch.from_numpy(values).unsqueeze(-1) for name, values in factor.items()
    }
    features = market.features.clone()
    features[:, names_with(market.own).index(seen_as)] = torch.from_numpy(states).to(features.dtype)
    return replace(market, tape=market.tape.changed(**columns), features=features)


def _ends(factor: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return factor["open"], factor["close"]
