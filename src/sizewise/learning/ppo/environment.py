"""The sizing environment: many accounts walk real market paths, batched in torch, for a population of policies.

Shapes are [K, G, R]: K policies, G market paths (groups) a policy, R accounts a path. Accounts of a group share rows of
the market tensor and differ in their actions, so that a row is encoded once for all of them.

    observation  (row of the market tensor, 3 account scalars): position / cap, free cash / equity, log10(equity / start)
    action       0..6, see values.Sizing7, or those of another values.ValueScheme; masked to the signal, or free
    reward       log(equity_{t+1} / equity_t), net of every cost, whose sum over an episode is log(E_T / E_0); or another
                 of rewards
    terminated   equity fell to the ruin level: the account starts again, the clock goes on
    truncated    the group's step budget ends: its accounts start again, and the group moves when the horizon ends
"""

from collections.abc import Sequence

import torch

from sizewise.base.tensors import log10
from sizewise.dataset.market_tensor import Market
from sizewise.market.costs import CostRates
from sizewise.params.learning.train import Episode
from sizewise.params.trading.account import Account
from sizewise.params.trading.actions import Actions, Levels, Steps
from sizewise.params.trading.rewards import LogGrowth, RewardModel
from sizewise.trading.broker import fast_broker
from sizewise.trading.episodes import Episodes, Ranges, Transition
from sizewise.trading.rewards import StepOutcome, at_iteration, open_reward, renewed
from sizewise.trading.schemes.values import Mode, open_actions

N_ACCOUNT_SCALARS = 3


def account_scalars(
    equity: torch.Tensor,
    position: torch.Tensor,
    account: Account,
    *,
    limit_frac: float | None = None,
    raw_dollars: bool = False,
) -> torch.Tensor:
    """The account part of the observation: accounts' shape + (3,), in the accounts' dtype.

    Signed position over the cap; cash free of the safety buffer over equity (0.70 when flat); log10(equity / start).
    With `raw_dollars` (an ablation) position, free cash and equity are dollars as they are.

    Args:
        limit_frac: the cap, where it is not the account's; one above 1 scales the free cash as well.
    """
    if raw_dollars:
        return torch.stack([position, (1.0 - account.safety_buffer_frac) * equity - position.abs(), equity], dim=-1)
    limit = account.max_position_frac if limit_frac is None else limit_frac
    share = position / equity
    return torch.stack(
        [
            share / limit,
            ((1.0 - account.safety_buffer_frac) - share.abs()) / max(1.0, limit),
            log10(equity / account.initial_equity),
        ],
        dim=-1,
    )


def scalar_limit(actions: Actions, account: Account) -> float:
    """What positions are divided by in the observation: the account's cap, or the largest of the levels."""
    if isinstance(actions, Levels):
        return max(abs(level) for level in actions.levels)
    return account.max_position_frac


class SizingEnv:
    """See the module's text. Randomness comes from one generator a policy, so that a policy's draws are its own.

    Raises:
        ConfigError: a slice is too short to hold one horizon.
    """

    def __init__(
        self,
        market: Market,
        ranges: Sequence[Ranges],
        account: Account,
        mode: Mode,
        *,
        groups: int,
        replicas: int,
        horizon: int,
        generators: Sequence[torch.Generator],
        actions: Actions | None = None,
        episode: Episode | None = None,
        raw_dollars: bool = False,
        reward: RewardModel | None = None,
    ):
        """Args: `market` on one device, its float dtype is the accounts'; `ranges` and `generators` one a policy."""
        self._episode = episode or Episode()
        self._generators = generators
        self.episodes = Episodes(
            market.symbols,
            ranges,
            groups=groups,
            horizon=horizon,
            generators=generators,
            episode=self._episode,
            regimes=market.regime,
        )
        self.market = market
        self.ranges = ranges
        self.account = account
        self.horizon = horizon
        self.shape = (len(ranges), groups, replicas)
        self.device = market.features.device
        self.dtype = market.close.dtype
        actions = actions or Steps()
        self.mode = mode
        self.scheme = open_actions(actions, account, mode, dtype=self.dtype, device=self.device)
        self._scalar_limit, self._raw_dollars = scalar_limit(actions, account), raw_dollars
        self._start_share: torch.Tensor | None = None
        self.accounts = fast_broker.Accounts.open(
            self.shape, account.initial_equity, dtype=self.dtype, device=self.device
        )
        self._move_tables = [market.gap_return, market.bar_return, market.elapsed_days]
        self._reward = open_reward(reward or LogGrowth(), keeps_lots=False)
        self._memory = self._fresh_memory = self._reward.open(self.shape, self.dtype, self.device)

    @property
    def rows(self) -> torch.Tensor:
        """Current row of each group: int64, shape [K, G], on the CPU."""
        return self.episodes.rows

    @property
    def symbols(self) -> torch.Tensor:
        """Symbol number of each group: int64, shape [K, G], on the CPU."""
        return self.episodes.symbols

    def restart(self) -> torch.Tensor:
        """Move groups whose budget is spent, or whose slice has no whole horizon left, to new random starts.

        Returns:
            bool [K, G], the groups that moved: their accounts are new. Call between horizons.
        """
        moving = self.episodes.restart()
        self.reload()
        self._draw_starts()
        self._replace(moving.to(self.device).unsqueeze(-1))
        return moving

    def suppress(self, iteration: int) -> None:
        """Put the reward's penalties into force as far as they are at an iteration of training; see params.trading."""
        self._reward = at_iteration(self._reward, iteration)

    def _draw_starts(self) -> None:
        """Which accounts that start in this horizon hold something already, as a share of the limit, signed."""
        if not self._episode.random_position_prob:
            return
        shares = []
        for generator in self._generators:
            holds, share = torch.rand((2, *self.shape[1:]), generator=generator)
            shares.append(torch.where(holds < self._episode.random_position_prob, 2.0 * share - 1.0, 0.0))
        self._start_share = torch.stack(shares).to(self.device, self.dtype)

    def _replace(self, where: torch.Tensor) -> None:
        """New accounts where it says, broadcast against [K, G, R]; what they start with is bought at this close."""
        initial, position = self.account.initial_equity, torch.zeros_like(self.accounts.position)
        equity = torch.full_like(position, initial)
        if self._start_share is not None:
            share = self._start_share
            if self.mode == "masked":
                share = share.abs() * self._direction[self._steps]
            position = share * (self.scheme.limit_frac * initial)
            fee, half_spread = (rate[self._steps] for rate in self._rates[:2])
            equity = equity - position.abs() * half_spread - (position.abs() + position * half_spread) * fee
        self.accounts = fast_broker.Accounts(
            torch.where(where, equity, self.accounts.equity), torch.where(where, position, self.accounts.position)
        )
        self._memory = renewed(self._memory, self._fresh_memory, where)

    def reload(self) -> None:
        """Gather what the next horizon needs, time first, so that a step only slices; `restart` does, and so must whoever
        sets `episodes.rows`."""
        steps = self.episodes.horizon_rows(self.device).unsqueeze(-1)
        self._steps = 0
        self._moves = [table[steps] for table in self._move_tables]
        self._rates = self.market.rates_at(steps)
        self._direction = self.market.direction[steps].to(self.dtype)

    def observe(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(account scalars [K, G, R, 3], allowed actions bool [K, G, R, A]) at the current close."""
        equity, position = self.accounts.equity, self.accounts.position
        return self._scalars(), self.scheme.allowed(equity, position, self._direction[self._steps])

    def _scalars(self) -> torch.Tensor:
        equity, position = self.accounts.equity, self.accounts.position
        return account_scalars(
            equity, position, self.account, limit_frac=self._scalar_limit, raw_dollars=self._raw_dollars
        )

    def step(self, actions: torch.Tensor) -> Transition:
        """Order at this close, fill at the next open, mark at the next close. `actions`: int64 [K, G, R]."""
        t = self._steps
        direction = self._direction[t]
        before = self.accounts
        orders = self.scheme.orders(actions, before.equity, before.position, direction)
        move = fast_broker.Move(*(table[t + 1] for table in self._moves))
        rates = CostRates(*(rate[t + 1] for rate in self._rates))
        after, pnl = fast_broker.step(before, orders, move, rates)
        initial = self.account.initial_equity
        terminated = after.equity <= self.account.ruin_frac * initial
        change = pnl.price + pnl.fees + pnl.slippage + pnl.borrow + pnl.funding
        # Only a reward that remembers can ask whether its budget ends.
        last = (self.episodes.steps_left == 1).to(self.device).unsqueeze(-1) if self._memory else None
        outcome = StepOutcome(
            before.equity,
            change,
            pnl.price,
            after.equity,
            after.position.unsqueeze(0),
            move.elapsed_days,
            terminated,
            last,
        )
        reward, self._memory = self._reward(outcome, self._memory)
        self.accounts = after
        self._steps = t + 1
        ended = self.episodes.advance()
        if ended is None:
            if self._start_share is None:
                self.accounts = fast_broker.Accounts(
                    torch.where(terminated, initial, after.equity), torch.where(terminated, 0.0, after.position)
                )
                self._memory = renewed(self._memory, self._fresh_memory, terminated)
            else:
                self._replace(terminated)
            return Transition(reward, terminated)
        final = self._scalars()
        truncated = ended.to(self.device).unsqueeze(-1) & ~terminated
        self._replace(truncated | terminated)
        return Transition(reward, terminated, truncated, final)
