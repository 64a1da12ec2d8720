"""What a policy trains and is selected on: of each train slice a head that teaches and a tail that picks."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from sizewise.base.arithmetic import fitted
from sizewise.base.errors import ConfigError
from sizewise.dataset.features import Scaler
from sizewise.dataset.joint import join_fold, join_market
from sizewise.dataset.market_tensor import Market, fold_confidence, seen_confidence
from sizewise.dataset.splits import Division, Slice, stretches, tail_of
from sizewise.learning.ppo.encoders import fit_scaler
from sizewise.params.arms import AnyScheme, Arm, MultiplesOf, symbols_of
from sizewise.params.dataset.observation import Observation
from sizewise.params.dataset.regimes import Regimes
from sizewise.params.dataset.signals import Signals
from sizewise.params.learning.train import Train
from sizewise.params.trading.decisions import Decisions
from sizewise.params.trading.rewards import DifferentialSharpe, DifferentialSortino, RiskPriced
from sizewise.params.trading.trading import SEVEN
from sizewise.params.trading.world import World
from sizewise.sizing.multiples import size_of
from sizewise.sizing.risk_price import price_of
from sizewise.sizing.walks.decision_steps import DAYS_PER_YEAR, steps_of, walk_rule
from sizewise.trading.episodes import Ranges
from sizewise.trading.schemes.values import position_limit_frac

# An untraded symbol would divide by nothing; no market's bar moves less than this.
SMALLEST_BAR_VOL = 1e-6
# Parts in which a symbol's draws are shared out to its stretches where train has several.
STRETCH_SHARES = 32
# A slice of fewer teaches nothing but itself.
LEAST_DECISIONS = 16
Ratio = DifferentialSharpe | DifferentialSortino


@dataclass(frozen=True)
class Job:
    """One policy to train. `decisions`: a clock of its own."""

    arm: str
    fold: Division
    seed: int
    scheme: AnyScheme = SEVEN
    decisions: Decisions | None = None

    @property
    def name(self) -> str:
        """File-system name, unique within a run."""
        return f"{self.arm}_{self.fold.scheme}_fold{self.fold.number}_seed{self.seed}"


@dataclass(frozen=True)
class Settings:
    """What all jobs of a run share. `yardsticks`: rules that a learner should not fall behind where it learned, by name;
    None: nobody asks, and the slices it learned on are not walked afterwards."""

    train: Train
    observation: Observation
    world: World
    regimes: Regimes
    signals: Signals
    purge_bars: int
    yardsticks: Mapping[str, Arm] | None = None

    def of(self, job: Job) -> "Settings":
        """Those of a job: by its own clock, if it has one."""
        return self if job.decisions is None else replace(self, world=replace(self.world, decisions=job.decisions))


@dataclass(frozen=True)
class Lesson:
    """What a job's policy trains and is selected on.

    Attributes:
        ranges: where it walks. heads, tails: slices by symbol: what it learns from, and what picks its checkpoint.
        reward_scale: [symbols], what a step's reward is divided by.
        price: of risk, in its score, and in a reward that prices it; 1 is plain growth, see sizing.risk_price.
        sizes: that it chooses from, shares of equity, for the identifiability gate; None: see identifiability.sizes_of.
        most_steps: decisions that the shortest of its slices has.
    """

    ranges: Ranges
    heads: Mapping[str, Sequence[Slice]]
    tails: Mapping[str, Sequence[Slice]]
    scalers: Mapping[str, Scaler]
    reward_scale: torch.Tensor
    price: float
    sizes: tuple[float, ...] | None
    most_steps: int


def divided(
    market: Market, job: Job, settings: Settings
) -> tuple[dict[str, list[Slice]], dict[str, list[Slice]], dict[str, list[tuple[int, int]]]]:
    """A job's train slices by symbol: heads, tails, and the rows of the heads."""
    heads: dict[str, list[Slice]] = {}
    tails: dict[str, list[Slice]] = {}
    for symbol, learn in job.fold.train.items():
        for part in stretches(learn):
            head, tail = tail_of(part, tail_frac=settings.train.validation_frac, purge_bars=settings.purge_bars)
            heads.setdefault(symbol, []).append(head)
            tails.setdefault(symbol, []).append(tail)
    return heads, tails, {symbol: [market.rows(symbol, head) for head in parts] for symbol, parts in heads.items()}


def most_steps(market: Market, job: Job, settings: Settings, decides: torch.Tensor | None) -> int:
    """Of the job's lesson, without the rest of it."""
    return _fewest(_with_decisions(divided(market, job, settings)[2], decides), decides)


def _fewest(taught: Mapping[str, Sequence[tuple[int, int]]], decides: torch.Tensor | None) -> int:
    return min(_decisions(span, decides) for spans in taught.values() for span in spans)


def prepare(market: Market, job: Job, settings: Settings, decides: torch.Tensor | None) -> Lesson:
    """Divide the job's train slices and measure what scales its inputs and its reward; nothing reads the tails.

    Raises:
        ConfigError: the reward prices risk, and neither a price nor a rule says how.
    """
    heads, tails, fit = divided(market, job, settings)
    confidence = seen_confidence(market, job.fold)
    scalers = {symbol: fit_scaler(market, confidence, spans) for symbol, spans in fit.items()}
    taught = _with_decisions(fit, decides)
    steps = _fewest(taught, decides)
    scale, price, sizes = _reward_scale(market, fit, settings, decides), 1.0, None
    if isinstance(settings.train.reward, RiskPriced | Ratio):
        scale, price, sizes = _priced(market, job, heads, settings, scale)
    return Lesson(_ranges(market, taught), heads, tails, scalers, scale, price, sizes, steps)


def _decisions(span: tuple[int, int], decides: torch.Tensor | None) -> int:
    start, stop = span
    return stop - start if decides is None else int(decides[start:stop].sum())


def _with_decisions(
    fit: Mapping[str, Sequence[tuple[int, int]]], decides: torch.Tensor | None
) -> Mapping[str, Sequence[tuple[int, int]]]:
    """The slices that have LEAST_DECISIONS; all of them where none has."""
    enough = {
        symbol: [span for span in spans if _decisions(span, decides) >= LEAST_DECISIONS]
        for symbol, spans in fit.items()
    }
    return {symbol: spans for symbol, spans in enough.items() if spans} or fit


def _reward_scale(
    market: Market, fit: Mapping[str, Sequence[tuple[int, int]]], settings: Settings, decides: torch.Tensor | None
) -> torch.Tensor:
    """What a position at the cap moves equity by from one decision to the next, [symbols]."""
    scale = torch.ones(len(market.symbols))
    if isinstance(settings.train.reward, Ratio):
        return scale  # a ratio has no unit to remove
    for symbol, spans in fit.items():
        moves = torch.cat([_moves(market, decides, *span) for span in spans])
        cap = settings.world.account.max_position_frac
        # Of a single move nothing is known; nobody is taught there either, see _with_decisions.
        if len(moves) > 1:
            scale[market.symbols.index(symbol)] = max(fitted(float(moves.std())), SMALLEST_BAR_VOL) * cap
    return scale


def _priced(
    market: Market, job: Job, heads: Mapping[str, Sequence[Slice]], settings: Settings, scale: torch.Tensor
) -> tuple[torch.Tensor, float, tuple[float, ...] | None]:
    """(reward scale, price of risk, sizes that are chosen from), of the rule whose multiples are chosen, on the heads."""
    reward, scheme, world = settings.train.reward, job.scheme, settings.world
    own = reward.price if isinstance(reward, RiskPriced) else None
    if not isinstance(scheme, MultiplesOf):
        if own is None and isinstance(reward, RiskPriced):
            raise ConfigError(
                f"train.reward risk_priced prices risk by a rule, and arm {job.arm} chooses no multiples of one: give "
                "train.reward.price, or name scheme multiples_of"
            )
        return scale * (own or 1.0), own or 1.0, None
    exact = market.to("cpu", torch.float64)
    steps = steps_of(exact, {symbol: tuple(parts) for symbol, parts in heads.items()}, world.decisions)
    confidence = fold_confidence(market, job.fold).cpu()
    walked = walk_rule(exact, steps, size_of(scheme), position_limit_frac(world.account), confidence)
    alive = steps.alive > 0
    returned, held = walked.returned[alive], walked.share[alive & (steps.direction != 0)]
    price = own or price_of(returned.numpy(), float(steps.days.sum()) / DAYS_PER_YEAR)
    if isinstance(reward, RiskPriced):
        # One scale for all symbols: the rule has made their risks alike.
        scale = torch.full_like(scale, max(fitted(price * float(returned.square().mean()) ** 0.5), SMALLEST_BAR_VOL))
    usual = fitted(float(held.mean()))
    return scale, price, tuple(usual * multiple for multiple in scheme.multiples)


def _moves(market: Market, decides: torch.Tensor | None, start: int, stop: int) -> torch.Tensor:
    """What the price does from one decision to the next, as shares of it, float64; of several instruments the mean."""
    if decides is None:
        return (market.gap_return + market.bar_return)[start:stop].double().cpu()
    close = market.tape.column("close")[start:stop].cpu()[decides[start:stop].cpu()]
    return (close[1:] / close[:-1] - 1.0).mean(-1)


def _ranges(market: Market, fit: Mapping[str, Sequence[tuple[int, int]]]) -> Ranges:
    """Where a policy walks: every symbol as often as another, and a symbol's stretches as often as they are long."""
    shares = 1 if all(len(spans) == 1 for spans in fit.values()) else STRETCH_SHARES
    entries = []
    for symbol, spans in fit.items():
        lengths = [stop - start for start, stop in spans]
        extra = max(0, shares - len(spans))
        counts = [1 + extra * length // sum(lengths) for length in lengths]
        # What rounding left goes to the longest.
        counts[lengths.index(max(lengths))] += len(spans) + extra - sum(counts)
        number = market.symbols.index(symbol)
        entries += [(number, *span) for span, count in zip(spans, counts, strict=True) for _ in range(count)]
    symbols, start, stop = zip(*entries, strict=True)
    return Ranges(symbols, start, stop)


def budget_of(train: Train, steps: int) -> tuple[int, int]:
    """(horizon, iterations): as declared; where a slice has too few decisions for the horizon, a shorter one, and as many
    samples.

    Args:
        steps: `most_steps` of the lessons that train together.
    """
    horizon = min(train.horizon, max(2, steps // 2))
    return horizon, math.ceil(train.iterations * train.horizon / horizon)


def on_own_market(market: Market, jobs: Sequence[Job]) -> tuple[Market, list[Job]]:
    """Where jobs of one arm train: a market of its own where several symbols share the account."""
    symbols = symbols_of(jobs[0].scheme)
    if not symbols:
        return market, list(jobs)
    joint = join_market(market, symbols)
    return joint, [replace(job, fold=join_fold(job.fold, market, joint)) for job in jobs]
