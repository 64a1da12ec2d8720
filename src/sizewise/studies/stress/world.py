"""Worse conditions to trade under: what a scenario changes of the market, of the bars, or of the way an order is filled.

costs     every rate times a number
fee       a flat fee in place of each instrument's
slippage  bps added to the half-spread
funding   bps a day that longs pay and shorts earn, beside what there is
delay     a decision is filled so many bars after the next open
missed    an order is lost with a probability; its rule is asked again at the next close, whatever the clock says
thinned   a share of the bars is dropped before features and signals are computed from the rest
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from sizewise.base.errors import ConfigError
from sizewise.base.seeding import numpy_generator
from sizewise.dataset.confidence import Confidence, confidence_column
from sizewise.dataset.features import compute_features
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.signals import carry_from_entry
from sizewise.dataset.splits import Fold
from sizewise.dataset.store import Universe, market_of
from sizewise.market.costs import BPS
from sizewise.params.arms import Arm, kind_of
from sizewise.params.dataset.regimes import Regimes
from sizewise.params.dataset.signals import Signals
from sizewise.params.dataset.splits import Splits
from sizewise.params.evidence.plan import Plan
from sizewise.params.studies.stress import Stress
from sizewise.params.trading.account import Account
from sizewise.params.trading.world import World
from sizewise.sizing.multiples import rules_of
from sizewise.sizing.sizers import PLAIN, Situation, Sizer
from sizewise.trading.broker.orders import Orders, Uses
from sizewise.walkforward.walk import RULE_SEED, Factors

RATES = ("taker", "maker", "half_spread", "borrow", "loan", "funding")
NAMES = {
    "costs": "costs x{:g}",
    "fee": "fee {:g} bps",
    "slippage": "slippage +{:g} bps",
    "funding": "funding {:g} bps a day",
    "delay": "delay {:g} bars",
    "missed": "missed fills {:.0%}",
    "thinned": "thinned bars {:.0%}",
}


@dataclass(frozen=True)
class Scenario:
    """One condition. kind: of NAMES. amount: multiple, bps, bars or share.

    Raises:
        ConfigError: an unknown kind.
    """

    kind: str
    amount: float

    def __post_init__(self) -> None:
        if self.kind not in NAMES:
            raise ConfigError(f"scenario '{self.kind}' is unknown: kinds are {', '.join(NAMES)}")

    @property
    def name(self) -> str:
        """As it stands in tables."""
        name = NAMES[self.kind].format(self.amount)
        return name.removesuffix("s") if self.kind == "delay" and self.amount == 1.0 else name


AS_IS = Scenario("costs", 1.0)


def declared(rules: Stress) -> tuple[Scenario, ...]:
    """Every scenario of the parameters, in their order; AS_IS is among the multiples."""
    amounts = {
        "costs": rules.cost_multiples,
        "fee": rules.fee_tiers_bps,
        "slippage": rules.slippage_bps,
        "funding": rules.funding_bps_per_day,
        "delay": rules.delays_bars,
        "missed": rules.missed_fracs,
        "thinned": rules.thinned_fracs,
    }
    return tuple(Scenario(kind, float(amount)) for kind, values in amounts.items() for amount in values)


def charged(market: Market, scenario: Scenario) -> Market:
    """The market with a scenario's rates; as it is if the scenario changes no rate."""
    tape, amount = market.tape, scenario.amount
    match scenario.kind:
        case "costs":
            tape = tape.changed(**{name: amount * tape.column(name) for name in RATES})
        case "fee":
            tape = tape.changed(taker=amount * BPS, maker=amount * BPS)
        case "slippage":
            tape = tape.changed(half_spread=tape.column("half_spread") + amount * BPS)
        case "funding":
            days = market.elapsed_days.double().unsqueeze(-1)
            tape = tape.changed(funding=tape.column("funding") + amount * BPS * days)
    return replace(market, tape=tape)


def met(world: World, scenario: Scenario) -> World:
    """The world in which orders arrive as late as a scenario has it."""
    if scenario.kind != "delay":
        return world
    return replace(world, rules=world.rules.model_copy(update={"latency_bars": int(scenario.amount)}))


def lost_rows(market: Market, scenario: Scenario, seed: int) -> torch.Tensor:
    """Rows whose orders are lost under a scenario, bool (R,).

    Args:
        seed: of the draws: one a row of the market, so that every arm and path loses the same bars' orders, and a higher
            share loses all that a lower one does.
    """
    if scenario.kind != "missed":
        return torch.zeros(len(market.close), dtype=torch.bool)
    draws = numpy_generator("missed fills", seed).random(len(market.close))
    return torch.from_numpy(draws < scenario.amount)


def asked_again(market: Market, decides: torch.Tensor | None, lost: torch.Tensor) -> torch.Tensor | None:
    """The rows of a clock, and after each whose orders are lost the next ones, until they are not.

    A clock that ends with a trade would never send a lost exit again.

    Args:
        decides, lost: bool (R,); None is every row.
    """
    if decides is None:
        return None
    first = torch.zeros_like(decides)
    first[torch.tensor(market.first_row)] = True
    asked = decides
    while True:
        following = asked | ((asked & lost).roll(1) & ~first)
        if torch.equal(following, asked):
            return asked
        asked = following


@dataclass(frozen=True)
class MissedFills:
    """Orders decided at some rows are lost; that what sends them is asked again is the clock's, see asked_again.

    Attributes:
        missed: bool (R,), one a row of the market.
    """

    sizer: Sizer
    missed: torch.Tensor

    @property
    def uses(self) -> Uses:
        return self.sizer.uses

    def orders(self, at: Situation) -> Orders:
        """See sizers.Sizer."""
        return self.sizer.orders(at).only(~self.missed[at.rows])


def thinned_universe(universe: Universe, frac: float, seed: int) -> Universe:
    """Every bar dropped with probability `frac`; a higher share drops all that a lower one does."""
    bars = {}
    for symbol, frame in universe.bars.items():
        kept = numpy_generator("thinned bars", symbol, seed).random(len(frame)) >= frac
        bars[symbol] = frame[kept]
    return replace(universe, bars=bars)


def rebuilt_market(
    universe: Universe,
    folds: tuple[Fold, ...],
    models: Mapping[str, Confidence],
    regimes: Regimes,
    signals: Signals,
) -> Market:
    """The market of other bars: features, labels and signals computed anew, confidence from models as they were fitted.

    Nothing is fitted. Train rows carry the scores of the model that saw them; only test rows are meant to be walked.
    """
    tables: dict[str, pd.DataFrame] = {}
    for symbol, frame in universe.bars.items():
        table = compute_features(frame, regimes, signals, universe.instruments[symbol], universe.own)
        scores = {
            name: carry_from_entry(models[name].score(table), table).astype("float32")
            for name in map(confidence_column, folds)
        }
        tables[symbol] = table.assign(**scores)
    return market_of(universe, tables)


# Kinds that can be walked again: a policy, and rules that need nothing but their parameters.
WALKED = {"ppo", *PLAIN}


@dataclass(frozen=True)
class StressWorld:
    """What every scenario starts from.

    Attributes:
        market: float64, on the CPU. folds: of the primary scheme. seeds: of learned arms that name none of their own.
        factors: by arm, what the main job multiplied its sizes by; an arm without any keeps its own risk.

    Raises:
        ConfigError: an arm that is unknown or cannot be walked here, a candidate or a reference that is not among them, a
            candidate that is no policy, or a reference that is one.
    """

    universe: Universe
    market: Market
    folds: tuple[Fold, ...]
    models: Mapping[str, Confidence]
    arms: Mapping[str, Arm]
    plan: Plan
    rules: Stress
    seeds: tuple[int, ...]
    world: World
    regimes: Regimes
    signals: Signals
    splits: Splits
    window_bars: int
    policies: Path
    factors: Mapping[str, Factors] = field(default_factory=dict)

    @property
    def account(self) -> Account:
        return self.world.account

    def __post_init__(self) -> None:
        named = self.rules.arms
        for name in named:
            arm = self.arms.get(name)
            if arm is None:
                raise ConfigError(f"stress.arms names '{name}', which is no entry of arms: mend its name")
            if arm.kind not in WALKED:
                raise ConfigError(
                    f"stress.arms: '{name}' is of kind '{arm.kind}', which is not walked again: leave it out"
                )
            if arm.symbols:
                raise ConfigError(
                    f"stress.arms: '{name}' trades several symbols in one account, which is not walked again: leave it out"
                )
        candidate, reference = self.plan.candidate, self.plan.reference
        if kind_of(self.arms, candidate) != "ppo":
            raise ConfigError(f"plan.candidate '{candidate}' is no PPO arm: stress walks one; name one")
        missing = {candidate, reference} - set(named)
        if missing:
            raise ConfigError(
                f"stress.arms leaves out '{min(missing)}': both sides of the comparison are walked; add it"
            )
        if self.arms[reference].learned:
            raise ConfigError(f"plan.reference '{reference}' is learned: stress scales a rule; name one")

    def seeds_of(self, name: str) -> tuple[int, ...]:
        """The seeds an arm walks with: those of the main job."""
        arm = self.arms[name]
        return arm.seeds_on(self.folds[0].scheme, self.seeds) if arm.learned else (RULE_SEED,)

    def under(self, name: str) -> World:
        """The world an arm trades in: its clock, and the rules its scheme cannot do without."""
        arm: Any = self.arms[name]
        world: World = arm.world(self.world)
        return replace(world, rules=rules_of(arm.scheme, world.rules)) if arm.kind == "ppo" else world

    @property
    def matched(self) -> tuple[str, str]:
        """The reference scaled on train to the candidate's exposure, and to its traded value: arms of this study."""
        return f"{self.plan.reference}_exposure_matched", f"{self.plan.reference}_turnover_matched"

    @property
    def walked(self) -> tuple[str, ...]:
        """Names of the arms that walk."""
        return (*self.rules.arms, *self.matched)

    @property
    def ruin_level(self) -> float:
        """Equity at or below which an account has ended."""
        return self.account.ruin_frac * self.account.initial_equity
