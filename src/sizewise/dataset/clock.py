"""The clock of decisions on real bars: at which rows of the market something is decided."""

import numpy as np
import torch

from sizewise.dataset.market_tensor import Market
from sizewise.params.trading.decisions import Decisions

HOUR_NS = 3_600_000_000_000


def decision_rows(market: Market, decisions: Decisions, *, follows_signal: bool) -> torch.Tensor | None:
    """Rows at whose close something is decided: bool (R,), or None where it is at every one.

    Known at the close itself: when the next bar begins is a matter of the calendar. What follows the signal decides while a
    trade is on, and where one begins or ends; the last row of a symbol is always one.
    """
    if decisions.every_bar:
        return None
    last = np.zeros(len(market.times), dtype=bool)
    last[np.array(market.first_row) + np.array(market.n_rows) - 1] = True
    chosen = _periodic(market, decisions, last)
    direction, entry = market.direction.cpu().numpy(), market.entry.cpu().numpy()
    if follows_signal:
        changed = np.diff(direction, prepend=direction[:1]) != 0
        chosen = (chosen & (direction != 0)) | changed | entry
    elif decisions.every == "entry":
        chosen = entry
    return torch.from_numpy(chosen | last).to(market.direction.device)


def _periodic(market: Market, decisions: Decisions, last: np.ndarray) -> np.ndarray:
    every, count = decisions.every, decisions.count
    if every == "bar":
        first = np.repeat(np.array(market.first_row), np.array(market.n_rows))
        return (np.arange(len(last)) - first) % count == count - 1
    if every == "hour":
        number = market.times.as_unit("ns").asi8 // HOUR_NS // count
    elif every == "session":
        number = market.tape.column("session")[:, 0].cpu().numpy() // count
    else:
        return np.zeros(len(last), dtype=bool)
    return np.append(number[1:] != number[:-1], True)
