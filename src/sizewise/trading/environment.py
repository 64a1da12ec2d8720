"""The general environment: any scheme, any costs, any reward, batched like the learners', for accounts that trade on a tape.

Shapes are [K, G, R]: K policies, G market paths (groups) a policy, R accounts a path.

    observation  (row of the tape, account scalars: desk.Desk.scalar_names)
    action       what the scheme's space says
    reward       see rewards and penalties; log equity growth by default
    terminated   equity fell to the ruin level: the account starts again, the clock goes on
    truncated    the group's step budget ends: its accounts start again, and the group moves when the horizon ends

Inside, accounts lie as [K, R, G]: groups innermost, where torch is fast with what a path's accounts share.

`environment.SizingEnv` is its short cut for the seven sizes at market on a cash account; a test holds the two equal.
"""

from collections.abc import Sequence

import torch

from sizewise.market.tape import Bars, Tape
from sizewise.params.learning.train import Episode
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import Trading
from sizewise.trading.broker.orders import Orders
from sizewise.trading.desk import Desk, merge
from sizewise.trading.episodes import Episodes, Ranges, Transition
from sizewise.trading.schemes.interface import ActionScheme


class TradingEnv:
    """See the module's text. `direction` is the signal a scheme may follow, int8 [R], one value a row of the tape.

    Raises:
        ConfigError: a slice is too short, or scheme, costs, reward and rules do not go together.
    """

    def __init__(
        self,
        tape: Tape,
        ranges: Sequence[Ranges],
        trading: Trading,
        account: Account,
        *,
        groups: int,
        replicas: int,
        horizon: int,
        generators: Sequence[torch.Generator],
        direction: torch.Tensor | None = None,
        scheme: ActionScheme | None = None,
        episode: Episode | None = None,
        regimes: torch.Tensor | None = None,
        dtype: torch.dtype = torch.float32,
    ):
        """Args: `tape` on one device; `ranges` and `generators` one a policy; `scheme`: one of your own; `regimes`: code
        of each row, where starts are balanced over them."""
        self.tape, self.account, self.horizon = tape, account, horizon
        self.device, self.dtype = tape.table.device, dtype
        self._episode, self._generators = episode or Episode(), generators
        self.episodes = Episodes(
            tape.symbols,
            ranges,
            groups=groups,
            horizon=horizon,
            generators=generators,
            episode=self._episode,
            regimes=regimes,
            lead=int(self._episode.random_position_prob > 0.0),
        )
        self.desk = Desk(tape, trading, account, scheme=scheme, dtype=dtype, device=self.device)
        self.shape = (len(ranges), groups, replicas)
        rows = len(tape.times)
        self._direction_table = (
            torch.zeros(rows, dtype=torch.int8, device=self.device) if direction is None else direction.to(self.device)
        )
        self._inner = (len(ranges), replicas, groups)
        self.position = self.desk.open(self._inner)

    def restart(self) -> torch.Tensor:
        """Move groups whose episode is over to new random starts, with new accounts. Call between horizons.

        Accounts that start with a position have bought it at the bar before, through the broker and at its costs.

        Returns:
            bool [K, G], the groups that moved.
        """
        moving = self.episodes.restart()
        everyone = moving.to(self.device).unsqueeze(1).expand(self._inner)
        if self._episode.random_position_prob:
            self._start_holding(moving, everyone)
            self.reload()
        else:
            self.reload()
            self.position = self.desk.restarted(self.position, everyone, self._bars[0].day)
        return moving

    def suppress(self, iteration: int) -> None:
        """Put the reward's penalties into force as far as they are at an iteration of training; see params.trading."""
        self.desk.suppress(iteration)

    def _start_holding(self, moving: torch.Tensor, everyone: torch.Tensor) -> None:
        """Open the moved groups' accounts, buy or sell some of them something, and walk those groups one bar on."""
        rows = self.episodes.rows.to(self.device).unsqueeze(1)
        now, following = self.tape.rows(rows), self.tape.rows(rows + 1)
        fresh = self.desk.restarted(self.position, everyone, now.day)
        shares = []
        for generator in self._generators:
            holds, share = torch.rand((2, *self._inner[1:]), generator=generator)
            shares.append(torch.where(holds < self._episode.random_position_prob, 2.0 * share - 1.0, 0.0))
        limit = min(self.account.max_position_frac, 1.0 - self.account.safety_buffer_frac)
        value = torch.stack(shares).to(self.device, self.dtype) * (limit * self.account.initial_equity)
        units = value / now.close.to(self.dtype) / self.desk.n_instruments
        held = self.desk.trade(fresh, Orders(market=units * everyone), following)
        self.position = merge(everyone, held.position, self.position)
        self.episodes.rows = torch.where(moving, self.episodes.rows + 1, self.episodes.rows)

    def reload(self) -> None:
        """Gather the bars of the next horizon, time first, so that a step only slices; `restart` does, and so must whoever
        sets `episodes.rows`."""
        steps = self.episodes.horizon_rows(self.device).unsqueeze(2)
        columns = self.tape.table[steps].movedim((-1, -2), (1, 2)).contiguous()
        self._bars = [Bars(*bar.unbind(0)) for bar in columns]
        self._money = [Bars(*bar.unbind(0)) for bar in columns.to(self.dtype)]
        self._direction = self._direction_table[steps].to(self.dtype)
        self._steps = 0

    def observe(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(account scalars [K, G, R, n], allowed actions bool [K, G, R, a]) at the current close."""
        bars, direction = self._bars[self._steps], self._direction[self._steps]
        view = self.desk.view(self.position, bars, direction)
        return self.desk.observe(self.position, bars).transpose(1, 2), self.desk.scheme.allowed(view).transpose(1, 2)

    def step(self, actions: torch.Tensor) -> Transition:
        """Order at this close, trade through the next bar, mark at its close.

        Args:
            actions: as the scheme's space has them, [K, G, R] (weights: one more axis). They are not checked again.
        """
        t = self._steps
        now, following = self._bars[t], self._bars[t + 1]
        inner = actions.transpose(1, 2).contiguous()
        last = (self.episodes.steps_left == 1).to(self.device).unsqueeze(1)
        step = self.desk.step(self.position, inner, now, following, self._direction[t], self._money[t + 1], last)
        self.position = step.position
        self._steps = t + 1
        ended = self.episodes.advance()
        over, truncated, final = step.terminated, None, None
        if ended is not None:
            final = self.desk.observe(step.position, following).transpose(1, 2)
            cut = ended.to(self.device).unsqueeze(1) & ~step.terminated
            over, truncated = over | cut, cut.transpose(1, 2)
        if bool(over.any()):
            self.position = self.desk.restarted(step.position, over, following.day)
        return Transition(step.reward.transpose(1, 2), step.terminated.transpose(1, 2), truncated, final)

    @property
    def equity(self) -> torch.Tensor:
        """Equity at the current close, [K, G, R]."""
        return self.position.equity.transpose(1, 2)
