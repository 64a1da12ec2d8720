"""What a fold's policies of `direct` learn from: train slices as stretches of decisions side by side, and their tails."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from sizewise.dataset.features import Scaler
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Division, Slice, stretches, tail_of
from sizewise.learning.ppo.encoders import MarketView, fit_scaler
from sizewise.params.arms import MultiplesOf, RuleArm
from sizewise.params.trading.world import World
from sizewise.sizing.multiples import size_of
from sizewise.sizing.walks.decision_steps import TIMED, Steps, steps_of, walk_rule
from sizewise.trading.schemes.values import position_limit_frac

Spans = Mapping[str, tuple[Slice, ...]]


@dataclass(frozen=True)
class Lesson:
    """Decisions as a policy meets them: [D, P], one column an account.

    Attributes:
        steps: see decision_steps. asked: the reference's shares of equity, capped. reference: its signed shares before each
            trade. inputs: what is seen, float64 [D * P, I].
        chained: accounts of which each goes on where the one that many columns before it ends; 0: each begins flat.
    """

    steps: Steps
    asked: torch.Tensor
    reference: torch.Tensor
    inputs: torch.Tensor
    chained: int = 0

    def start(self, policies: int) -> torch.Tensor:
        """Shares held at the first decision, [K, P]: flat, or what the reference holds there."""
        return self.reference[0].expand(policies, -1)

    def following(self, ends: torch.Tensor) -> torch.Tensor:
        """What accounts begin the next pass with, from what they ended this one with: [K, P]."""
        if not self.chained:
            return torch.zeros_like(ends)
        none = torch.zeros_like(ends[:, : self.chained])
        return torch.cat([none, ends[:, : -self.chained]], dim=1)


def divide(fold: Division, tail_frac: float, purge_bars: int) -> tuple[Spans, Spans]:
    """A fold's train slices in (fit, tail), by symbol: what is learned from, and what stops it; as PPO divides them."""
    fit: dict[str, tuple[Slice, ...]] = {}
    tails: dict[str, tuple[Slice, ...]] = {}
    for symbol, learn in fold.train.items():
        pairs = [tail_of(part, tail_frac=tail_frac, purge_bars=purge_bars) for part in stretches(learn)]
        fit[symbol], tails[symbol] = tuple(head for head, _ in pairs), tuple(tail for _, tail in pairs)
    return fit, tails


def scalers_of(market: Market, confidence: torch.Tensor, fit: Spans) -> dict[str, Scaler]:
    """One a symbol, from what is learned from alone."""
    return {
        symbol: fit_scaler(market, confidence, [market.rows(symbol, part) for part in parts])
        for symbol, parts in fit.items()
    }


def lesson_of(
    market: Market, parts: Spans, rule: RuleArm, world: World, confidence: torch.Tensor, view: MarketView
) -> Lesson:
    """The decisions of slices, each an account of its own that begins flat.

    Args:
        market: float64, on the CPU. view: of one policy.
    """
    steps = steps_of(market, parts, world.decisions)
    size = size_of(MultiplesOf(kind="multiples_of", base=rule))
    walked = walk_rule(market, steps, size, position_limit_frac(world.account), confidence)
    return Lesson(steps, walked.share, walked.held, seen(view, steps.row, steps.symbol))


def seen(view: MarketView, rows: torch.Tensor, symbols: torch.Tensor) -> torch.Tensor:
    """What the one policy of a view sees at rows: int64 [D, P] to float64 [D * P, window * features], bars oldest first.

    Args:
        symbols: int64 [P].
    """
    found = view.windows(rows.T.unsqueeze(0), symbols.unsqueeze(0))[0]
    return found.transpose(0, 1).flatten(2).flatten(0, 1).double()


def stretched(lesson: Lesson, length: int) -> Lesson:
    """The same decisions in stretches of at most `length`, side by side: [length, stretches * P], earliest columns first.

    A gradient goes back through a stretch, and the accounts of all of them move at once.
    """
    decisions, accounts = lesson.asked.shape
    if decisions <= length:
        return lesson
    count = -(-decisions // length)
    index = torch.arange(count * length)
    # Rows that fill up the last stretch repeat the last decision, of paths that are over.
    inside = (index < decisions).view(count, length).T.repeat_interleave(accounts, dim=1)
    index = index.clamp(max=decisions - 1)

    def side_by_side(values: torch.Tensor) -> torch.Tensor:
        wide = values[index].view(count, length, accounts, *values.shape[2:])
        return wide.transpose(0, 1).flatten(1, 2)

    timed = {name: side_by_side(getattr(lesson.steps, name)) for name in TIMED}
    timed["alive"] = timed["alive"] * inside
    symbol, days = lesson.steps.symbol.repeat(count), lesson.steps.days.repeat(count) / count
    return Lesson(
        steps=replace(lesson.steps, **timed, symbol=symbol, days=days),
        asked=side_by_side(lesson.asked),
        reference=side_by_side(lesson.reference),
        inputs=side_by_side(lesson.inputs.view(decisions, accounts, -1)).flatten(0, 1),
        chained=accounts,
    )
