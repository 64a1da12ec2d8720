"""A sizing rule or a learner of one's own: a class named in params.yaml, sized, capped and compared like every other."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import pandas as pd
import torch

from sizewise.base.errors import ActionError, ConfigError
from sizewise.dataset.market_tensor import Market
from sizewise.params.arms import CustomArm, CustomScheme
from sizewise.params.fields import Section
from sizewise.params.own_class import own_class, own_instance
from sizewise.params.reading import place_of
from sizewise.sizing.sizers import Situation, Size
from sizewise.trading.schemes.interface import ActionScheme


class Rule(Section, ABC):
    """Base of a sizing rule of one's own. Its fields are its parameters: further keys of the arm in params.yaml."""

    @abstractmethod
    def size(self, at: Situation) -> torch.Tensor:
        """Share of equity to hold from an entry to its exit, 0 or more, before the account's cap.

        Args:
            at: what is known at a close, one value a path. It is asked at every decision and counts at entries; with the
                arm's `resize_off_frac` also while a trade is on.
        Returns:
            one value a path, or one for all; finite where it counts.
        """


class Learner(Section, ABC):
    """Base of a learner of one's own: it learns from each fold's train trades, once a seed, and sizes its test."""

    @abstractmethod
    def learn(self, trades: pd.DataFrame, seed: int) -> dict[str, np.ndarray]:
        """What the train slice teaches, as named arrays; they are kept on disk and handed to `size`.

        Args:
            trades: the signal's finished trades, oldest first: symbol, side, confidence, atr_frac, annual_vol, regime (at
                the entry's close), unit_return (net gain of one unit of notional), price_return, worst, best, hours.
        """

    @abstractmethod
    def size(self, at: Situation, learned: dict[str, np.ndarray]) -> torch.Tensor:
        """As Rule.size, with what was learned for the fold and seed of these paths."""


def open_own(name: str, arm: CustomArm) -> Rule | Learner:
    """The rule or learner of a custom arm, with its parameters.

    Raises:
        ConfigError: the class cannot be imported or is neither, a parameter is refused, or `splits` says otherwise.
    """
    place = place_of("arms", name)
    found: Rule | Learner = own_instance(
        place, arm.class_, Rule | Learner, "sizewise.Rule nor a sizewise.Learner", arm.own
    )
    if isinstance(found, Learner) and not arm.learned:
        raise ConfigError(f"{place}: {arm.class_} learns: say on which splits, such as `splits: [rolling]`")
    if isinstance(found, Rule) and arm.learned:
        raise ConfigError(f"{place}: {arm.class_} is a rule, which nothing trains: remove `splits`")
    return found


def open_own_scheme(model: CustomScheme) -> ActionScheme:
    """The scheme of one's own that an arm names, with its parameters.

    Raises:
        ConfigError: the class cannot be imported or is no scheme, a parameter is refused, or follows_signal says otherwise.
    """
    own = own_class("scheme", model.class_, ActionScheme, "sizewise.ActionScheme")
    try:
        found: ActionScheme = own(**model.own)
    except (TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"scheme: {model.class_} cannot be made ({reason}): give it what its class asks") from None
    if not hasattr(found, "space"):
        raise ConfigError(f"scheme: {model.class_} has no space: set one, such as sizewise's Discrete(3)")
    if found.follows_signal != model.follows_signal:
        raise ConfigError(
            f"scheme: {model.class_} says follows_signal is {found.follows_signal}, params {model.follows_signal}: let "
            "both say the same"
        )
    return found


def own_of(arm: Any) -> CustomArm | CustomScheme | None:
    """What of an arm is somebody's own class: the arm, or its scheme."""
    found = arm if isinstance(arm, CustomArm) else getattr(arm, "scheme", None)
    return found if isinstance(found, CustomArm | CustomScheme) else None


def checked(name: str, arm: CustomArm, market: Market, size: Size) -> Size:
    """A size of one's own that is refused where it is none.

    Raises (when asked):
        ActionError: no number a path, or where it counts (see Rule.size) one that is not finite, or below 0 and so against
            the signal.
    """
    place = f"{place_of('arms', name)}: {arm.class_}"
    managed = arm.resize_off_frac is not None

    def ask(at: Situation) -> torch.Tensor:
        try:
            found = torch.as_tensor(size(at)).to(at.equity.dtype)
            found = found.expand(at.equity.shape) if found.ndim == 0 else found
        except (TypeError, ValueError, RuntimeError) as error:
            raise ActionError(f"{place}: {' '.join(str(error).split())}: return one number a path") from None
        if found.shape != at.equity.shape:
            raise ActionError(
                f"{place} sizes with shape {tuple(found.shape)} where {tuple(at.equity.shape)} is due: return one number "
                "a path"
            )
        counts = at.entry | (managed & (at.direction != 0))
        wrong = counts & ~(torch.isfinite(found) & (found >= 0.0))
        if wrong.any():
            first = int(wrong.int().argmax())
            row, value = int(at.rows[first]), float(found[first])
            what = "is an order against the signal" if value < 0 else "is no share of equity"
            symbol = market.symbols[int(np.searchsorted(market.first_row, row, side="right")) - 1]
            raise ActionError(
                f"{place} sizes {symbol} with {value:g} at {market.times[row]:%Y-%m-%d %H:%M}, which {what}: return a "
                "finite share, 0 or more"
            )
        return torch.where(counts, found, 0.0)

    return ask
