"""The environment: any scheme, any costs, any reward, any clock, batched, for accounts that trade on a tape.

Shapes are [K, G, R]: K policies, G market paths (groups) a policy, R accounts a path.

    observation  (row of the tape, account scalars: accounts.Observer)
    action       what the scheme's space says
    reward       see rewards and penalties; log equity growth by default
    terminated   equity fell to the ruin level: the account starts again, the clock goes on
    truncated    the group's step budget ends: its accounts start again, and the group moves when the horizon ends

A step is one decision. Between two of them the market moves bar by bar, see `course`.

Inside, accounts lie as [K, R, G]: groups innermost, where torch is fast with what a path's accounts share.
"""

from collections.abc import Sequence

import torch

from sizewise.base.tensors import lookup, nowhere
from sizewise.market.tape import Tape, by_step
from sizewise.params.learning.train import Episode
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import Trading
from sizewise.trading.accounts import merge
from sizewise.trading.broker.orders import Orders
from sizewise.trading.course import Course
from sizewise.trading.desk import Desk, check_equity, nothing_of
from sizewise.trading.episodes import Episodes, Ranges, Transition
from sizewise.trading.schemes.interface import ActionScheme, View
from sizewise.trading.situation import Signals, Situation
from sizewise.trading.stretches import Leaps, cross, walk_stretch

# What a View, an observation and a reward know of the bar at which something is decided; with the day-trade rule its session
# as well.
SHOWN = ("close", "half_spread", "max_leverage", "day")


class TradingEnv:
    """See the module's text.

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
        signals: Signals | None = None,
        decides: torch.Tensor | None = None,
        leaps: bool = True,
        scheme: ActionScheme | None = None,
        episode: Episode | None = None,
        regimes: torch.Tensor | None = None,
        raw_dollars: bool = False,
        price: torch.Tensor | None = None,
        dtype: torch.dtype = torch.float32,
        trusted: bool = False,
        guesses: bool = False,
    ):
        """Args:
        tape: on one device. ranges, generators: one a policy. scheme: one of your own.
        direction: the signal a scheme may follow, int8 (R,), one value a row of the tape; `signals` says it as well.
        signals: all that the market says, for a scheme that reads it.
        decides: bool (R,), rows at whose close something is decided; None: at every one.
        leaps: walk bars in which nothing can happen as one; without it bar by bar, which is slower and the same.
        regimes: code of each row, where starts are balanced over them. raw_dollars: see accounts.Observer.
        price: of risk, one a policy (K,), where the reward has one. trusted: `scheme` is the library's, whose orders are
            not looked at as a stranger's are.
        guesses: of whoever asks `redo` after every horizon; on a GPU a leap is then taken for granted, and not asked for at
            every step. Not of a scheme with a state, which does not go back.
        """
        self.tape, self.account, self.horizon = tape, account, horizon
        self.device, self.dtype = tape.table.device, dtype
        self._episode, self._generators = episode or Episode(), generators
        self._course = Course(tape, decides)
        self.episodes = Episodes(
            tape.symbols,
            [self._course.of_rows(place) for place in ranges],
            groups=groups,
            horizon=horizon,
            generators=generators,
            episode=self._episode,
            regimes=None if regimes is None else regimes[self._course.at],
            lead=int(self._episode.random_position_prob > 0.0),
        )
        walks = not self._course.every_bar
        self.desk = Desk(
            tape,
            trading,
            account,
            scheme=scheme,
            dtype=dtype,
            device=self.device,
            raw_dollars=raw_dollars,
            pauses=walks,
            price=None if price is None else price.to(self.device, dtype).view(-1, 1, 1),
            asks=self.device.type == "cpu",
            trusted=trusted,
        )
        granted = guesses and self.device.type != "cpu"
        self._leaps = Leaps(possible=leaps and self.desk.nothing_happens_between())
        self._guesses = Leaps(possible=self._leaps.possible and granted, granted=granted)
        # Whoever crosses reads the tape itself; what a scheme is shown of the market beyond a View reads all of a bar.
        reads = signals is not None and self.desk.scheme.reads_market
        self._crosses = self._leaps.possible and self.desk.broker.crosses and self.device.type == "cpu" and not reads
        self._shown = (*SHOWN, "session") if trading.rules.day_trade_limit else SHOWN
        self.shape = (len(ranges), groups, replicas)
        if signals is not None:
            direction = signals.direction
        rows = len(tape.times)
        self._direction_table = (
            torch.zeros(rows, dtype=torch.int8, device=self.device) if direction is None else direction.to(self.device)
        )
        self._signals = signals if self.desk.scheme.reads_market else None
        self._inner = (len(ranges), replicas, groups)
        self.position = self.desk.open(self._inner)
        self._begun, self._guessing = (self.position, self.episodes.now), False

    @property
    def rows(self) -> torch.Tensor:
        """Row of the tape at which each group stands: int64 [K, G], on the CPU."""
        return self._course.rows_at(self.episodes.rows)

    @property
    def symbols(self) -> torch.Tensor:
        """Symbol number of each group: int64 [K, G], on the CPU."""
        return self.episodes.symbols

    def horizon_rows(self) -> torch.Tensor | None:
        """Rows that decide in the coming horizon, int64 [K, G, horizon + 1]; None where they follow each other."""
        if self._course.every_bar:
            return None
        return self._course.rows_at(self.episodes.horizon_rows("cpu")).movedim(0, -1)

    def restart(self) -> torch.Tensor:
        """Move groups whose episode is over to new random starts, with new accounts. Call between horizons.

        Accounts that start with a position have bought it at the decision before, through the broker and at its costs.

        Returns:
            bool [K, G], the groups that moved.
        """
        if self.device.type != "cpu":
            # Asked here once a horizon and not at every bar: what is no number stays none.
            check_equity(self.position.equity)
        moving = self.episodes.restart()
        everyone = moving.to(self.device, non_blocking=True).unsqueeze(1).expand(self._inner)
        if self._episode.random_position_prob:
            self._start_holding(moving, everyone)
            self.reload()
        else:
            self.reload()
            self.position = self.desk.restarted(self.position, everyone, self._bars[0].day)
        self._begun, self._guessing = (self.position, self.episodes.now), self._guesses.possible
        return moving

    def redo(self) -> bool:
        """Whether a leap was wrongly taken for granted in the horizon that has been walked; accounts and clock are then
        where it began, and the next walk asks."""
        if not (self._guessing and self._guesses.wrong()):
            return False
        self.position, self.episodes.now = self._begun
        self._steps, self._guessing = 0, False
        return True

    def suppress(self, iteration: int) -> None:
        """Put the reward's penalties into force as far as they are at an iteration of training; see params.trading."""
        self.desk.suppress(iteration)

    def _start_holding(self, moving: torch.Tensor, everyone: torch.Tensor) -> None:
        """Open the moved groups' accounts, buy or sell some of them something, and walk those groups one decision on."""
        places = self.episodes.rows.unsqueeze(1)
        now = self.tape.rows(self._course.rows_at(places).to(self.device))
        fresh = self.desk.restarted(self.position, everyone, now.day)
        shares = []
        for generator in self._generators:
            holds, share = torch.rand((2, *self._inner[1:]), generator=generator)
            shares.append(torch.where(holds < self._episode.random_position_prob, 2.0 * share - 1.0, 0.0))
        limit = self.desk.scheme.limit_frac
        if limit is None:
            limit = min(self.account.max_position_frac, 1.0 - self.account.safety_buffer_frac)
        held = torch.stack(shares).to(self.device, self.dtype)
        if self.desk.scheme.follows_signal:
            # It holds at the coming decision what that one's signal lets it hold.
            following = self._course.rows_at(places + 1).to(self.device)
            held = held.abs() * lookup(self._direction_table, following).to(self.dtype)
        units = held * (limit * self.account.initial_equity) / now.close.to(self.dtype) / self.desk.n_instruments
        stretch = self._course.stretch(places, self.dtype)
        orders = Orders(market=units * everyone)
        first = self.desk.move_at_once(fresh._replace(pending=()), orders, stretch.first, stretch.first_money)
        walked = walk_stretch(self.desk, [first], orders, stretch, self._leaps)[-1].position
        self.position = merge(everyone, walked._replace(pending=nothing_of(self.position.pending)), self.position)
        self.episodes.rows = torch.where(moving, self.episodes.rows + 1, self.episodes.rows)

    def reload(self) -> None:
        """Gather the bars of the next horizon, time first, so that a step only slices; `restart` does, and so must whoever
        sets `episodes.rows`."""
        # On the CPU, where the lengths of the ways between decisions can be asked for without waiting.
        places = self.episodes.horizon_rows("cpu").unsqueeze(2)
        steps = self._course.rows_at(places).to(self.device, non_blocking=True)
        if self._crosses:
            self._bars = self.tape.shown(steps, self._shown)
            self._stretches = self._course.stretches(places[:-1], self.dtype)
        else:
            columns = self.tape.stacked(steps)
            self._bars, _ = by_step(columns, len(steps), torch.float64)
            following = tuple(column[-self.horizon :] for column in columns) if self._course.every_bar else None
            self._stretches = self._course.stretches(places[:-1], self.dtype, following)
        self._direction = lookup(self._direction_table, steps).to(self.dtype)
        if self._signals is not None:
            self._reload_situations(steps)
        self._steps = 0

    def _reload_situations(self, steps: torch.Tensor) -> None:
        """What the market says at the coming decisions, each [horizon + 1, K, 1, G]."""
        known = self._signals
        if known is None:
            return
        policy = torch.arange(len(known.confidence), device=self.device).view(-1, 1, 1)
        named = {name: getattr(known, name)[steps] for name in ("entry", "atr_frac", "annual_vol")}
        confidence = torch.stack([known.confidence[policy, row] for row in steps])
        self._known = {"rows": steps, "confidence": confidence.to(self.dtype), **named}

    def _situation(self) -> Situation | None:
        if self._signals is None:
            return None
        t, position = self._steps, self.position
        known = {name: column[t].expand(self._inner) for name, column in self._known.items()}
        bars = self._bars[t]
        return Situation(
            equity=position.equity,
            position=position.coming().book.value(bars.close)[0],
            direction=self._direction[t].expand(self._inner),
            close=bars.close[0].to(self.dtype),
            account=position,
            bars=bars,
            **known,
        )

    def _view(self) -> View:
        t = self._steps
        return self.desk.view(self.position, self._bars[t], self._direction[t], self._situation())

    def observe(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(account scalars [K, G, R, n], allowed actions bool [K, G, R, a]) at the current close."""
        scalars = self.desk.observe(self.position.coming(), self._bars[self._steps])
        return scalars.float().transpose(1, 2), self.desk.scheme.allowed(self._view()).transpose(1, 2)

    def step(self, actions: torch.Tensor) -> Transition:
        """Order at this close, trade through the bars up to the next decision, mark at its close.

        Args:
            actions: as the scheme's space has them, [K, G, R] (weights: one more axis). They are not checked again.
        """
        t = self._steps
        now, following = self._bars[t], self._bars[t + 1]
        orders = self.desk.scheme.orders(actions.transpose(1, 2).contiguous(), self._view())
        last = self.episodes.ending
        if last is not None:
            last = last.to(self.device, non_blocking=True).unsqueeze(1)
        leaps = self._guesses if self._guessing else self._leaps
        moved = cross(self.desk, self.position, orders, self._stretches[t], leaps)
        step = self.desk.rewarded(self.position, moved, following, following.day[0] - now.day[0], last)
        self.position = step.position
        self._steps = t + 1
        ended = self.episodes.advance()
        over, truncated, final = step.terminated, None, None
        if ended is not None:
            final = self.desk.observe(step.position.coming(), following).float().transpose(1, 2)
            cut = ended.to(self.device, non_blocking=True).unsqueeze(1) & ~step.terminated
            over, truncated = over | cut, cut.transpose(1, 2)
        if not nowhere(over):
            self.position = self.desk.restarted(step.position, over, following.day)
        return Transition(step.reward.float().transpose(1, 2), step.terminated.transpose(1, 2), truncated, final)

    @property
    def equity(self) -> torch.Tensor:
        """Equity at the current close, [K, G, R]."""
        return self.position.equity.transpose(1, 2)
