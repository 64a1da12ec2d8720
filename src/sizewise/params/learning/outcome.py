"""The `outcome` section of params.yaml: learning from closed trades (reference design E)."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from sizewise.params.fields import Count, Fraction, NotNegative, Positive, Section, as_tuple

ModelName = Literal["cnn", "dqn", "order_flow"]
RewardName = Literal["log_growth", "outcome_of_equity", "composite_close"]
# What bars tell of order flow where no book is recorded.
FLOW_PROXIES = (
    "volume_z_24",
    "volume_z_96",
    "balance_flow_24",
    "vwap_distance_24",
    "roll_spread_48",
    "corwin_schultz_24",
    "amihud_48",
)


class Contributions(Section):
    """Share of each model in the ensemble's size; a model of share 0 is neither asked nor trained."""

    cnn: Fraction = 0.35
    dqn: Fraction = 0.45
    order_flow: Fraction = 0.20

    @model_validator(mode="after")
    def _whole(self) -> "Contributions":
        total = self.cnn + self.dqn + self.order_flow
        if abs(total - 1.0) > 1e-9:
            raise ValueError(f"contributions must sum to 1, these sum to {total:g}")
        return self


class Replay(Section):
    """The memory of closed trades and how it is sampled.

    Attributes:
        capacity: closed trades kept, the newest. warmup: the Q-network learns once more than this many are remembered.
        batch: trades an update is made from. prioritised: sample by TD error (Schaul et al., 2016) instead of evenly.
        alpha, beta: exponents of the priorities and of the weights that correct for them; beta rises to 1 over training.
        floor: what every priority has at least.
    """

    capacity: Count = 2000
    warmup: Count = 32
    batch: Count = 32
    prioritised: bool = False
    alpha: Fraction = 0.6
    beta: Fraction = 0.4
    floor: Positive = 1e-2


class ClosedTrades(Section):
    """Models that propose a size at each entry and learn when, and only when, the trade closes.

    Attributes:
        sizes: the grid of proposals, shares of the position limit.
        window_bars, kernel_bars, channels: the convolution over the bars before the entry. hidden: width of every head.
        flow_window_bars, flow_features: what the order-flow model reads; name columns of a book where there is one.
        learning_rate: of a model that contributes 1; others take steps in proportion to their contribution.
        exploding_norm: a gradient longer than this, before clipping, ends training with an error.
        contribution_rate: how fast contributions follow what each model's own proposals earned, in ordinary rewards; 0 keeps
            the declared ones for ever.
        contribution_certainty: how much a model's certainty of a signal moves its share in that very decision, from 0, not
            at all, to 1, in proportion; see models.decision_shares.
        gamma: discount a trade, over the next trade of the same account. target_every: updates between copies to the target
            network. double: choose the next size by the online network, value it by the target (van Hasselt et al., 2016).
        every_size: learn from each close what every size of the grid would have earned, which is known because no size
            moves the price; else only the size proposed.
        exploration, final_exploration: share of proposals drawn at random while training, falling linearly.
        passes: how often the train slice is lived through. win_window: closed trades that the win rate is over.
        reward: what a close earns: growth of log equity, or the originals of reference designs C and E, both of results as
            shares of equity. accept_size_blind: learn from a reward that the identifiability gate refuses for these sizes.
        horizons_bars: bars after the entry whose moves are further targets of the convolution.
        min_move_frac: a trade whose price moved less is counted as skipped and not learned from; 0 skips none.
        report_every: closes between two rows of the history.
    """

    sizes: Annotated[tuple[Fraction, ...], BeforeValidator(as_tuple), Field(min_length=2)] = (0.0, 0.25, 0.5, 0.75, 1.0)
    contributions: Contributions = Contributions()
    contribution_rate: NotNegative = 0.0
    contribution_certainty: Fraction = 0.0
    replay: Replay = Replay()
    window_bars: Count = 16
    kernel_bars: Count = 4
    channels: Count = 16
    hidden: Count = 32
    flow_window_bars: Count = 8
    flow_features: Annotated[tuple[str, ...], BeforeValidator(as_tuple), Field(min_length=1)] = FLOW_PROXIES
    learning_rate: Positive = 1e-3
    max_grad_norm: Positive = 1.0
    exploding_norm: Positive = 1e4
    gamma: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.5
    target_every: Count = 100
    double: bool = True
    every_size: bool = True
    exploration: Fraction = 0.20
    final_exploration: Fraction = 0.02
    passes: Count = 1
    win_window: Count = 20
    reward: RewardName = "log_growth"
    accept_size_blind: bool = False
    horizons_bars: Annotated[tuple[Count, ...], BeforeValidator(as_tuple)] = ()
    min_move_frac: NotNegative = 0.0
    report_every: Count = 50

    @model_validator(mode="after")
    def _consistent(self) -> "ClosedTrades":
        if any(a >= b for a, b in zip(self.sizes, self.sizes[1:], strict=False)):
            raise ValueError("sizes must increase")
        if self.kernel_bars > self.window_bars:
            raise ValueError("kernel_bars must not exceed window_bars")
        if self.flow_window_bars > self.window_bars:
            raise ValueError("flow_window_bars must not exceed window_bars: both are read off one window")
        if self.final_exploration > self.exploration:
            raise ValueError("final_exploration must not exceed exploration")
        if self.replay.capacity <= self.replay.warmup:
            raise ValueError("replay.capacity must exceed replay.warmup, or the Q-network never learns")
        return self
