"""The sizing environment: many accounts walk real market paths, batched in torch, for a population of policies.

Shapes are [K, G, R]: K policies, G market paths (groups) a policy, R accounts a path. Accounts of a group share rows of
the market tensor and differ in their actions, so that a row is encoded once for all of them.

    observation  (row of the market tensor, 3 account scalars): position / cap, free cash / equity, log10(equity / start)
    action       0..6, see actions.Sizing7; masked to the signal, or free
    reward       log(equity_{t+1} / equity_t), net of every cost; its sum over an episode is log(E_T / E_0)
    terminated   equity fell to the ruin level: the account starts again, the clock goes on
    truncated    the group's episode budget or train slice ends: the whole group moves to a new random start
"""

from collections.abc import Sequence

import torch

from sizewise import config, market_orders
from sizewise.actions import Mode, SizingScheme
from sizewise.costs import CostRates
from sizewise.episodes import Episodes, Ranges
from sizewise.market import Market

N_ACCOUNT_SCALARS = 3
LARGEST_LOSS = -1.0 + 1e-6


def account_scalars(equity: torch.Tensor, position: torch.Tensor, account: config.Account) -> torch.Tensor:
    """The account part of the observation: accounts' shape + (3,), in the accounts' dtype.

    Signed position over the cap; cash free of the safety buffer over equity (0.70 when flat); log10(equity / start).
    """
    share = position / equity
    return torch.stack(
        [
            share / account.max_position_frac,
            (1.0 - account.safety_buffer_frac) - share.abs(),
            torch.log10(equity / account.initial_equity),
        ],
        dim=-1,
    )


class SizingEnv:
    """See the module's text. Randomness comes from one generator a policy, so that a policy's draws are its own.

    Raises:
        ConfigError: a slice is too short to hold one horizon.
    """

    def __init__(
        self,
        market: Market,
        ranges: Sequence[Ranges],
        account: config.Account,
        mode: Mode,
        *,
        groups: int,
        replicas: int,
        horizon: int,
        generators: Sequence[torch.Generator],
    ):
        """Args: `market` on one device, its float dtype is the accounts'; `ranges` and `generators` one a policy."""
        self.episodes = Episodes(market.symbols, ranges, groups=groups, horizon=horizon, generators=generators)
        self.market = market
        self.ranges = ranges
        self.account = account
        self.horizon = horizon
        self.shape = (len(ranges), groups, replicas)
        self.device = market.features.device
        self.dtype = market.close.dtype
        self.scheme = SizingScheme(account, mode, dtype=self.dtype, device=self.device)
        self.accounts = market_orders.Accounts.open(
            self.shape, account.initial_equity, dtype=self.dtype, device=self.device
        )
        self._move_tables = [market.gap_return, market.bar_return, market.elapsed_days]

    @property
    def rows(self) -> torch.Tensor:
        """Current row of each group: int64, shape [K, G], on the CPU."""
        return self.episodes.rows

    @property
    def symbols(self) -> torch.Tensor:
        """Symbol number of each group: int64, shape [K, G], on the CPU."""
        return self.episodes.symbols

    @property
    def rollouts_left(self) -> torch.Tensor:
        """Horizons until each group moves: int64, shape [K, G], on the CPU."""
        return self.episodes.rollouts_left

    def restart(self, episode_rollouts: int) -> torch.Tensor:
        """Move groups whose budget is spent, or whose slice has no whole horizon left, to new random starts.

        Returns:
            bool [K, G], the groups that moved: their accounts are new and flat. Call between horizons.
        """
        moving = self.episodes.restart(episode_rollouts)
        fresh = market_orders.Accounts.open(
            self.shape, self.account.initial_equity, dtype=self.dtype, device=self.device
        )
        mask = moving.to(self.device).unsqueeze(-1)
        self.accounts = market_orders.Accounts(
            torch.where(mask, fresh.equity, self.accounts.equity),
            torch.where(mask, fresh.position, self.accounts.position),
        )
        self._load()
        return moving

    def _load(self) -> None:
        """Gather what the next horizon needs, time first, so that a step only slices."""
        steps = self.episodes.horizon_rows(self.device).unsqueeze(-1)
        self._steps = 0
        self._moves = [table[steps] for table in self._move_tables]
        self._rates = self.market.rates_at(steps)
        self._direction = self.market.direction[steps].to(self.dtype)

    def observe(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(account scalars [K, G, R, 3], allowed actions bool [K, G, R, 7]) at the current close."""
        equity, position = self.accounts.equity, self.accounts.position
        scalars = account_scalars(equity, position, self.account)
        return scalars, self.scheme.allowed(equity, position, self._direction[self._steps])

    def step(self, actions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Order at this close, fill at the next open, mark at the next close.

        Args:
            actions: int64 [K, G, R].
        Returns:
            (reward [K, G, R], terminated bool [K, G, R]). A terminated account is new at the next observation.
        """
        t = self._steps
        direction = self._direction[t]
        before = self.accounts
        orders = self.scheme.orders(actions, before.equity, before.position, direction)
        move = market_orders.Move(*(table[t + 1] for table in self._moves))
        rates = CostRates(*(rate[t + 1] for rate in self._rates))
        after, pnl = market_orders.step(before, orders, move, rates)
        initial = self.account.initial_equity
        terminated = after.equity <= self.account.ruin_frac * initial
        # log1p of the small change keeps float32 rewards exact where log(after / before) would round them away. A
        # short can gap through zero; what no logarithm can show counts as the loss of all but a millionth.
        change = (pnl.price + pnl.fees + pnl.slippage + pnl.borrow + pnl.funding) / before.equity
        reward = torch.log1p(change.clamp(min=LARGEST_LOSS))
        self.accounts = market_orders.Accounts(
            torch.where(terminated, initial, after.equity), torch.where(terminated, 0.0, after.position)
        )
        self._steps = t + 1
        self.episodes.advance()
        return reward, terminated
