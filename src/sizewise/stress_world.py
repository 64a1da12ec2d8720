"""What a stress study starts from, checked: the market, what was trained and fitted on it, and who is walked again."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sizewise import config
from sizewise.confidence import ConfidenceModel
from sizewise.errors import ConfigError
from sizewise.evidence_rules import Stress
from sizewise.feature_store import Universe
from sizewise.market import Market
from sizewise.splits import Fold

# The reference's rule, scaled on train to the candidate's traded value; an arm of this study alone.
TURNOVER_MATCHED = "atr_turnover_matched"

# Rules that need nothing but their parameters.
PLAIN = config.AtrArm | config.ConstantArm | config.VolTargetArm | config.BuyAndHoldArm


@dataclass(frozen=True)
class World:
    """What every scenario starts from. market: float64, on the CPU. folds: of the primary scheme.

    Raises:
        ConfigError: an arm that is unknown or cannot be walked here, a candidate or a reference that is not among them, or
            of another kind than a policy and plain ATR.
    """

    universe: Universe
    market: Market
    folds: tuple[Fold, ...]
    models: Mapping[str, ConfidenceModel]
    arms: Mapping[str, config.Arm]
    plan: config.Plan
    rules: Stress
    seeds: tuple[int, ...]
    account: config.Account
    regimes: config.Regimes
    signals: config.Signals
    splits: config.Splits
    window_bars: int
    policies: Path

    def __post_init__(self) -> None:
        named = self.rules.arms
        for name in named:
            arm = self.arms.get(name)
            if arm is None:
                raise ConfigError(f"stress.arms names '{name}', which is no entry of arms: mend its name")
            if isinstance(arm, config.AtrMatchedArm) and arm.matches != self.plan.candidate:
                raise ConfigError(
                    f"stress.arms: '{name}' matches {arm.matches}: only what matches the candidate is walked"
                )
            if not isinstance(arm, config.PpoArm | config.AtrMatchedArm | PLAIN):
                raise ConfigError(
                    f"stress.arms: '{name}' is of kind '{arm.kind}', which is not walked again: leave it out"
                )
        if not isinstance(self.arms.get(self.plan.candidate), config.PpoArm):
            raise ConfigError(f"plan.candidate '{self.plan.candidate}' is no PPO arm: stress walks one; name one")
        if sum(isinstance(self.arms[name], config.AtrMatchedArm) for name in named) > 1:
            raise ConfigError("stress.arms names several arms of kind atr_exposure_matched: keep one")
        if self.reference.confidence_rule:
            raise ConfigError(
                f"plan.reference '{self.plan.reference}' reads confidence: only plain ATR sizes can be scaled"
            )
        missing = {self.plan.candidate, self.plan.reference} - set(named)
        if missing:
            raise ConfigError(
                f"stress.arms leaves out '{min(missing)}': both sides of the comparison are walked; add it"
            )

    @property
    def reference(self) -> config.AtrArm:
        """The arm that is scaled."""
        arm = self.arms.get(self.plan.reference)
        if not isinstance(arm, config.AtrArm):
            raise ConfigError(f"plan.reference '{self.plan.reference}' is no ATR arm: stress scales one; name one")
        return arm

    @property
    def matched(self) -> config.AtrMatchedArm:
        """The arm that is matched by exposure; the reference's rule, if none walks."""
        for name in self.rules.arms:
            arm = self.arms[name]
            if isinstance(arm, config.AtrMatchedArm):
                return arm
        rule = {"risk_frac": self.reference.risk_frac, "stop_atr": self.reference.stop_atr}
        return config.AtrMatchedArm(kind="atr_exposure_matched", matches=self.plan.candidate, **rule)

    @property
    def walked(self) -> tuple[str, ...]:
        """Names of the arms that walk."""
        return (*self.rules.arms, TURNOVER_MATCHED)

    @property
    def ruin_level(self) -> float:
        """Equity at or below which an account has ended."""
        return self.account.ruin_frac * self.account.initial_equity
