"""What is kept of accounts that were walked: marks and flows of every bar, fills, and what the venue did."""

from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
import torch

from sizewise.trading.broker.broker import Result
from sizewise.trading.broker.orders import Fill, Flag

# What is kept of a fill, and in which order.
FILL_COLUMNS = ("path", "step", "instrument", "kind", "units", "price", "fee", "slippage", "impact")


@dataclass(frozen=True)
class PathLedger:
    """What happened on P paths of up to T bars, time first. Rows past a path's end repeat its last mark, flows are 0.

    equity, position: [T, P] marks at each close; row 0 is the start. price ... liquidation: [T, P], as orders.Flows, signed
    contributions of the step that ends at the row (row 0 is 0). day_trades_left: int8 [T, P], what a small account may
    still make, 3 without the rule. lengths: int64 [P], rows of each path.
    fills: FILL_COLUMNS, a row a fill, in the order they happened within a path; `step` is the bar's place in the path.
    events: path, step, event (orders.Flag, lower case): what the venue did to an order or a position. Both are empty where
    nothing was recorded.
    """

    equity: torch.Tensor
    position: torch.Tensor
    price: torch.Tensor
    fees: torch.Tensor
    slippage: torch.Tensor
    impact: torch.Tensor
    funding: torch.Tensor
    borrow: torch.Tensor
    liquidation: torch.Tensor
    day_trades_left: torch.Tensor
    lengths: torch.Tensor
    fills: pd.DataFrame
    events: pd.DataFrame

    def part(self, paths: slice) -> "PathLedger":
        """That of some of its paths."""
        first, stop = paths.start, paths.stop
        cut = {field.name: getattr(self, field.name)[:, paths] for field in fields(self)[:10]}
        for name in ("fills", "events"):
            table = getattr(self, name)
            mine = table[(table["path"] >= first) & (table["path"] < stop)]
            cut[name] = mine.assign(path=mine["path"] - first).reset_index(drop=True)
        return PathLedger(**cut, lengths=self.lengths[paths])


class Recorder:
    """Fills and events of all paths as they happen."""

    def __init__(self) -> None:
        self._fills: list[np.ndarray] = []
        self._events: list[tuple[int, int, str]] = []

    def add(self, result: Result, step: torch.Tensor, alive: torch.Tensor) -> None:
        """Keep what a bar brought to the paths that are `alive`; it is the path's bar number `step`, int64 [P]."""
        for fill in result.fills:
            for number, units in enumerate(fill.units * alive):
                paths = units.nonzero().flatten()
                if len(paths):
                    self._fills.append(_rows(fill, number, paths, step[paths]))
        if bool(result.flags.any()):
            for flags in result.flags * alive.to(result.flags.dtype):
                for path in flags.nonzero().flatten().tolist():
                    held = int(flags[path])
                    self._events += [(path, int(step[path]), str(flag.name).lower()) for flag in Flag if held & flag]

    def tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """(fills, events), by path."""
        found = np.concatenate(self._fills) if self._fills else np.zeros((0, len(FILL_COLUMNS)))
        fills = pd.DataFrame(found[np.argsort(found[:, 0], kind="stable")], columns=list(FILL_COLUMNS))
        whole = dict.fromkeys(("path", "step", "instrument", "kind"), np.int64)
        events = pd.DataFrame(self._events, columns=["path", "step", "event"])
        events = events.sort_values("path", kind="stable", ignore_index=True)
        # Where nothing happened pandas knows no type.
        return fills.astype(whole), events.astype({"path": np.int64, "step": np.int64, "event": str})


def _rows(fill: Fill, number: int, paths: torch.Tensor, step: torch.Tensor) -> np.ndarray:
    columns = [part.expand(fill.units.shape)[number, paths].cpu().double().numpy() for part in fill[1:]]
    same = [np.full(len(paths), value) for value in (number, int(fill.kind))]
    return np.column_stack([paths.cpu().numpy(), step.cpu().numpy(), *same, *columns])
