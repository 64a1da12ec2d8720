"""The general environment: any scheme, any costs, any reward, batched like `env`, for accounts that trade on a tape.

Shapes are [K, G, R]: K policies, G market paths (groups) a policy, R accounts a path.

    observation  (row of the tape, account scalars: desk.Desk.scalar_names)
    action       what the scheme's space says
    reward       rewards.REWARDS; log equity growth by default
    terminated   equity fell to the ruin level: the account starts again, the clock goes on
    truncated    the group's episode budget or slice ends: the whole group moves to a new random start

Inside, accounts lie as [K, R, G]: groups innermost, where torch is fast with what a path's accounts share.

`env.SizingEnv` is its short cut for the seven sizes at market on a cash account; a test holds the two equal.
"""

from collections.abc import Sequence

import torch

from sizewise import config
from sizewise.desk import Desk
from sizewise.episodes import Episodes, Ranges
from sizewise.schemes import ActionScheme
from sizewise.tape import Bars, Tape
from sizewise.trading_rules import Trading


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
        account: config.Account,
        *,
        groups: int,
        replicas: int,
        horizon: int,
        generators: Sequence[torch.Generator],
        direction: torch.Tensor | None = None,
        scheme: ActionScheme | None = None,
        dtype: torch.dtype = torch.float32,
    ):
        """Args: `tape` on one device; `ranges` and `generators` one a policy; `scheme`: one of your own."""
        self.tape, self.account, self.horizon = tape, account, horizon
        self.device, self.dtype = tape.table.device, dtype
        self.episodes = Episodes(tape.symbols, ranges, groups=groups, horizon=horizon, generators=generators)
        self.desk = Desk(tape, trading, account, scheme=scheme, dtype=dtype, device=self.device)
        self.shape = (len(ranges), groups, replicas)
        rows = len(tape.times)
        self._direction_table = (
            torch.zeros(rows, dtype=torch.int8, device=self.device) if direction is None else direction.to(self.device)
        )
        self._inner = (len(ranges), replicas, groups)
        self.position = self.desk.open(self._inner)

    def restart(self, episode_rollouts: int) -> torch.Tensor:
        """Move groups whose episode is over to new random starts, with new flat accounts. Call between horizons.

        Returns:
            bool [K, G], the groups that moved.
        """
        moving = self.episodes.restart(episode_rollouts)
        self._load()
        everyone = moving.to(self.device).unsqueeze(1).expand(self._inner)
        self.position = self.desk.restarted(self.position, everyone, self._bars[0].day)
        return moving

    def _load(self) -> None:
        """Gather the bars of the next horizon, time first, so that a step only slices."""
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

    def step(self, actions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Order at this close, trade through the next bar, mark at its close.

        Args:
            actions: as the scheme's space has them, [K, G, R] (weights: one more axis). They are not checked again.
        Returns:
            (reward [K, G, R], terminated bool [K, G, R]). A terminated account is new at the next observation.
        """
        t = self._steps
        now, following = self._bars[t], self._bars[t + 1]
        inner = actions.transpose(1, 2).contiguous()
        step = self.desk.step(self.position, inner, now, following, self._direction[t], self._money[t + 1])
        self.position = step.position
        if bool(step.terminated.any()):
            self.position = self.desk.restarted(step.position, step.terminated, following.day)
        self._steps = t + 1
        self.episodes.advance()
        return step.reward.transpose(1, 2), step.terminated.transpose(1, 2)

    @property
    def equity(self) -> torch.Tensor:
        """Equity at the current close, [K, G, R]."""
        return self.position.equity.transpose(1, 2)
