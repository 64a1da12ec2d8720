"""Policies learned from closed trades as a sizer: a size at each entry, held to the exit; frozen, greedy, and causal."""

from collections.abc import Sequence

import numpy as np
import torch

from sizewise.base.errors import CheckpointError
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Slice
from sizewise.learning.closed_trades.lessons import Standing, entry_windows
from sizewise.learning.closed_trades.models import Proposed, account_proposals, market_proposals, mean_size
from sizewise.learning.closed_trades.policy import ClosedTradePolicy
from sizewise.params.learning.outcome import ModelName
from sizewise.params.trading.account import Account
from sizewise.sizing.opportunities import find_opportunities
from sizewise.sizing.sizers import AT_MARKET, Situation, follow_signal
from sizewise.trading.broker.orders import Orders
from sizewise.trading.schemes.values import position_limit_frac

NO_ROW = -1


class ClosedTradeSizer:
    """P paths, each sized by a policy of its own; to be walked once, from the first bar of every path.

    What the models make of the market is computed for all entries beforehand, the Q-network's answer at the entry, where
    the account is known. A result is counted in the win rate from the bar on whose open its exit has filled.
    """

    uses = AT_MARKET

    def __init__(
        self,
        market: Market,
        policies: Sequence[ClosedTradePolicy],
        confidence: Sequence[torch.Tensor],
        policy_of_path: torch.Tensor,
        start_rows: torch.Tensor,
        lengths: torch.Tensor,
        symbols: torch.Tensor,
        account: Account,
    ):
        """Args: `market` float64, on the CPU. `policies` and their `confidence` (R,), K of each, of one kind, one set of
        rules and one account; `policy_of_path`, `start_rows`, `lengths`, `symbols` int64 [P].

        Raises:
            CheckpointError: policies of different kinds or rules, or one that does not know its path's symbol.
        """
        first = policies[0]
        if any((policy.kind, policy.rules) != (first.kind, first.rules) for policy in policies):
            raise CheckpointError("policies of different kinds or outcome parameters: train them again, all alike")
        self._rules = first.rules
        self._shares = {
            model: torch.tensor([policy.contributions[model] for policy in policies], dtype=torch.float64)
            for model in first.contributions
        }
        self._limit_frac = position_limit_frac(account)
        self._policy_of_path = policy_of_path
        paths = len(start_rows)
        self._rows: list[np.ndarray] = []
        self._won: list[np.ndarray] = []
        self._closed_by: list[np.ndarray] = []
        self._last_bar: list[torch.Tensor] = []
        self._found: list[dict[ModelName, Proposed]] = []
        for path in range(paths):
            k, number = int(policy_of_path[path]), int(symbols[path])
            self._prepare(market, policies[k], confidence[k], number, int(start_rows[path]), int(lengths[path]))
        self._q_network = {
            name: torch.stack([policy.networks["dqn"][name] for policy in policies])
            for name in first.networks.get("dqn", {})
        }
        self._standing = Standing((paths,), account.initial_equity, self._rules.win_window)
        self._sized = [np.zeros(len(rows), dtype=bool) for rows in self._rows]
        self._entered = np.zeros(paths, dtype=np.int64)
        self._counted = np.zeros(paths, dtype=np.int64)
        self._next_row = np.array([rows[0] if len(rows) else NO_ROW for rows in self._rows])

    def _prepare(
        self, market: Market, policy: ClosedTradePolicy, confidence: torch.Tensor, number: int, start: int, length: int
    ) -> None:
        symbol = policy.known(market.symbols[number])
        rows = start + np.flatnonzero(market.entry[start : start + length].numpy())
        offset = market.first_row[number]
        trades = find_opportunities(market, {symbol: Slice(start - offset, start - offset + length)})
        self._rows.append(rows)
        # The trades that finish are those of the first entries, in their order.
        self._won.append(trades.unit_return > 0.0)
        self._closed_by.append(np.searchsorted(trades.exit_row + 1, rows, side="right"))
        windows = entry_windows(
            market, confidence, policy.scalers, rows, np.full(len(rows), number), self._rules.window_bars
        )
        self._last_bar.append(windows[:, -1:])
        found: dict[ModelName, Proposed] = {}
        if len(rows):
            move = torch.tensor([policy.typical_move[symbol]])
            with torch.no_grad():
                found = market_proposals(
                    policy.one_member(), windows[None], move, policy.columns, self._rules, self._limit_frac
                )
        self._found.append({model: Proposed(*(part[0] for part in one)) for model, one in found.items()})

    def sizes(self, paths: np.ndarray, scalars: np.ndarray) -> np.ndarray:
        """Shares of the limit for the next entry of `paths` (n,), given their scalars float32 [n, 3]: float64 (n,)."""
        entries = self._entered[paths].tolist()
        places = list(zip(paths.tolist(), entries, strict=True))
        policy = self._policy_of_path[torch.from_numpy(paths)]
        found: dict[ModelName, Proposed] = {}
        for model in self._shares:
            if model != "dqn":
                mine = [[part[entry] for part in self._found[path][model]] for path, entry in places]
                found[model] = Proposed(*(torch.stack(list(part)) for part in zip(*mine, strict=True)))
        if self._q_network:
            bars = torch.stack([self._last_bar[path][entry] for path, entry in places]).unsqueeze(1)
            network = {name: value[policy] for name, value in self._q_network.items()}
            valued = account_proposals(network, bars, torch.from_numpy(scalars).unsqueeze(1))
            found["dqn"] = Proposed(*(part.squeeze(1) for part in valued))
        shares = {model: share[policy] for model, share in self._shares.items()}
        return np.asarray(mean_size(found, shares, self._rules))

    def orders(self, at: Situation) -> Orders:
        """See sizers.Sizer."""
        fraction = torch.zeros_like(at.equity)
        paths = np.flatnonzero(at.rows.numpy() == self._next_row)
        if len(paths):
            for path in paths.tolist():
                self._count_results(path)
            equity = at.equity.numpy()[paths]
            position = at.position.numpy()[paths] / equity
            scalars = self._standing.scalars(paths, position, equity, self._limit_frac)
            sizes = self.sizes(paths, scalars)
            fraction[torch.from_numpy(paths)] = torch.from_numpy(self._limit_frac * sizes).to(fraction.dtype)
            for path, size in zip(paths.tolist(), sizes.tolist(), strict=True):
                self._sized[path][self._entered[path]] = size > 0.0
                self._entered[path] += 1
                left = self._rows[path][self._entered[path] :]
                self._next_row[path] = left[0] if len(left) else NO_ROW
        return follow_signal(fraction, at, self._limit_frac)

    def _count_results(self, path: int) -> None:
        closed = self._closed_by[path][self._entered[path]]
        for trade in range(self._counted[path], closed):
            self._standing.record(path, self._won[path][trade], self._sized[path][trade])
        self._counted[path] = closed
