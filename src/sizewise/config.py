"""Frozen models of params.yaml: one class a section, validated once at the edge, unknown keys refused."""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, Field, ValidationError, model_validator

from sizewise.errors import ConfigError
from sizewise.evidence_rules import Calibration, Cpcv, Overfitting, Slices, Stress
from sizewise.fields import Count, Day, Fraction, NotNegative, Positive, Section, as_tuple
from sizewise.outcome_rules import Outcome
from sizewise.reward_rules import LogGrowth, RewardModel
from sizewise.table_rules import Tabular
from sizewise.trading_rules import Trading

SplitScheme = Literal["rolling", "anchored"]
RegimeName = Literal["low_vol_trending", "high_vol_trending", "low_vol_ranging", "high_vol_ranging"]


class Data(Section):
    """Which bars are used."""

    symbols: Annotated[tuple[str, ...], BeforeValidator(as_tuple), Field(min_length=1)]
    start: Day | None = None
    end: Day | None = None

    @model_validator(mode="after")
    def _usable(self) -> "Data":
        if len(set(self.symbols)) < len(self.symbols):
            raise ValueError("symbols must differ: a repeated one would count twice")
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ValueError("start must lie before end")
        return self


class Regimes(Section):
    """Thresholds of the rule labels."""

    volatility_quantile: Fraction = 0.6
    quantile_window_bars: Count = 2000
    high_volatility_frac: Positive = 0.02
    trending_adx: Positive = 25.0
    trending_strength: Fraction = 0.6


class Signals(Section):
    """The direction rule and the model of its confidence."""

    entry_bars: Count = 48
    exit_bars: Count = 24
    max_hold_bars: Count = 96
    confidence_l2: Positive = 1.0
    confidence_blocks: Annotated[int, Field(ge=2)] = 5


class Splits(Section):
    """Calendar folds. A fold tests on [test_starts[i], test_starts[i+1]); the last one ends at `end`.

    Bars of [end, sealed_end) are sealed: no stage evaluates them; `sizewise unseal` does, and records that it did.
    """

    test_starts: Annotated[tuple[Day, ...], BeforeValidator(as_tuple), Field(min_length=1)]
    end: Day
    sealed_end: Day | None = None
    rolling_days: Count = 730
    purge_bars: Count = 100
    min_train_bars: Count = 1000
    min_test_bars: Count = 200

    @model_validator(mode="after")
    def _ordered(self) -> "Splits":
        edges = (*self.test_starts, self.end)
        if any(a >= b for a, b in zip(edges, edges[1:], strict=False)):
            raise ValueError("test_starts and end must increase")
        if self.sealed_end is not None and self.sealed_end <= self.end:
            raise ValueError("sealed_end must be after end, where the sealed slice starts")
        return self


class Observation(Section):
    """What a policy sees of the market: a window of bars. `raw_dollars` (an ablation): account scalars in dollars."""

    window_bars: Count = 100
    raw_dollars: bool = False


class Account(Section):
    """The account every arm trades. The defaults are the $1,000 account of reference design A."""

    initial_equity: Positive = 1000.0
    safety_buffer_frac: Fraction = 0.30
    base_alloc_frac: Fraction = 0.15
    max_position_frac: Fraction = 0.20
    ruin_frac: Fraction = 0.10


class Mlp(Section):
    """Free weights over the whole window."""

    kind: Literal["mlp"] = "mlp"


class LinearRecurrent(Section):
    """A diagonal linear scan over the window, each unit with its own time scale."""

    kind: Literal["linear_recurrent"]


class CausalConv(Section):
    """Dilated causal convolutions, as many as the window holds."""

    kind: Literal["causal_conv"]
    channels: Count = 16
    kernel_bars: Annotated[int, Field(ge=2)] = 4


Encoder = Mlp | LinearRecurrent | CausalConv


class Episode(Section):
    """Where and how accounts start, and how long an episode is (reference design D, row D7).

    Attributes:
        mean_steps, sd_steps: of the step budget, drawn from a normal distribution and kept within one step and twice the
            mean. Its end is a truncation: the value of what would have followed is bootstrapped.
        random_position_prob: share of starts that already hold something, up to the limit; its cost is paid.
        balance_regimes: starts fall on each regime of the slice equally often, however rare it is.
    """

    mean_steps: Count = 512
    sd_steps: NotNegative = 0.0
    random_position_prob: Fraction = 0.0
    balance_regimes: bool = False


class Train(Section):
    """PPO: budget, network and the usual coefficients (names as in CleanRL).

    Attributes:
        memory: units of a recurrent state that each account carries from bar to bar; 0 is none.
        entropy_coef, final_entropy_coef: at the first and at the last iteration, linear between; null is constant.
        exploding_norm: a gradient norm, before clipping, that stops training.
    """

    seeds: Annotated[tuple[int, ...], BeforeValidator(as_tuple), Field(min_length=1)]
    encoder: Annotated[Encoder, Field(discriminator="kind")] = Mlp()
    hidden: Annotated[tuple[Count, Count], BeforeValidator(as_tuple)] = (64, 64)
    memory: Annotated[int, Field(ge=0)] = 0
    reward: Annotated[RewardModel, Field(discriminator="kind")] = LogGrowth()
    groups: Count = 32
    replicas: Count = 8
    horizon: Count = 128
    iterations: Count = 12
    episode: Episode = Episode()
    epochs: Count = 4
    minibatches: Count = 8
    learning_rate: Positive = 3.0e-4
    final_learning_rate_frac: Fraction = 0.1
    gamma: Fraction = 0.99
    gae_lambda: Fraction = 0.95
    clip_coef: Positive = 0.2
    value_clip_coef: Positive = 0.2
    entropy_coef: NotNegative = 0.01
    final_entropy_coef: NotNegative | None = None
    value_coef: Positive = 0.5
    max_grad_norm: Positive = 0.5
    exploding_norm: Positive = 1.0e4
    target_kl: Positive = 0.03
    initial_hold_prob: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.10
    validation_frac: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.15
    validate_every: Count = 2
    validation_chunk_bars: Count = 512

    @model_validator(mode="after")
    def _divides(self) -> "Train":
        if self.groups % self.minibatches:
            raise ValueError("minibatches must divide groups: a minibatch is made of whole groups")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds must differ: a repeated one would count twice")
        return self


class Steps(Section):
    """Hold, buy or sell `sizes` of the base allocation; `close_action` adds a CLOSE."""

    kind: Literal["steps"] = "steps"
    sizes: Annotated[tuple[Fraction, ...], BeforeValidator(as_tuple), Field(min_length=1)] = (0.25, 0.50, 0.75)
    close_action: bool = False


class Levels(Section):
    """Each action is the position wanted, as a share of equity: of the signal's side in masked mode, else signed."""

    kind: Literal["levels"]
    levels: Annotated[tuple[float, ...], BeforeValidator(as_tuple), Field(min_length=2)]


Actions = Steps | Levels


SEVEN = Steps()


class PpoArm(Section):
    """A learned arm; `masked` sizes the given signal, `free` chooses the direction as well."""

    kind: Literal["ppo"]
    mode: Literal["masked", "free"]
    actions: Annotated[Actions, Field(discriminator="kind")] = SEVEN
    splits: Annotated[tuple[SplitScheme, ...], BeforeValidator(as_tuple), Field(min_length=1)] = ("rolling",)


class AtrArm(Section):
    """Risk a fixed share of equity over a stop of some average true ranges."""

    kind: Literal["atr"]
    risk_frac: Positive = 0.005
    stop_atr: Positive = 1.5
    confidence_rule: bool = False


class ConstantArm(Section):
    """A fixed share of equity at each entry."""

    kind: Literal["constant"]
    size_frac: Fraction


class VolTargetArm(Section):
    """A share of equity whose forecast volatility is constant."""

    kind: Literal["vol_target"]
    annual_vol_frac: Positive


class BuyAndHoldArm(Section):
    """Long at the cap from the first bar of a fold to its last, whatever the signal says."""

    kind: Literal["buy_and_hold"]


class AtrMatchedArm(Section):
    """ATR sizing scaled on each train slice to the mean exposure that another arm has there."""

    kind: Literal["atr_exposure_matched"]
    matches: str
    risk_frac: Positive = 0.005
    stop_atr: Positive = 1.5


class KellyArm(Section):
    """`kappa` times the growth-optimal share of the train slice's trades, one a symbol and regime; nothing if it is <= 0."""

    kind: Literal["kelly"]
    kappa: Fraction = 0.5
    min_trades: Count = 30


class RandomPlaceboArm(Section):
    """A size drawn evenly between nothing and the limit at each entry; one path a seed."""

    kind: Literal["random_placebo"]


class OracleArm(Section):
    """The limit on trades that will gain, nothing on those that will lose: no rule can do better."""

    kind: Literal["oracle_hindsight"]


class TableArm(Section):
    """A table of 300 states and 25 sizes: a contextual bandit, or Q-learning that looks ahead to the next trade."""

    kind: Literal["bandit", "q_table"]
    splits: Annotated[tuple[SplitScheme, ...], BeforeValidator(as_tuple), Field(min_length=1)] = ("rolling",)


class ClosedTradeArm(Section):
    """Learned from closed trades alone: the Q-network by itself, or the ensemble of three models."""

    kind: Literal["dqn", "outcome_ensemble"]
    splits: Annotated[tuple[SplitScheme, ...], BeforeValidator(as_tuple), Field(min_length=1)] = ("rolling",)


LearnedArm = PpoArm | TableArm | ClosedTradeArm
RuleArm = AtrArm | ConstantArm | VolTargetArm | BuyAndHoldArm | AtrMatchedArm | KellyArm | RandomPlaceboArm | OracleArm
Arm = Annotated[LearnedArm | RuleArm, Field(discriminator="kind")]


class Variant(Section):
    """One change of the candidate policy's training; null keeps what `train` and `observation` say."""

    actions: Annotated[Actions, Field(discriminator="kind")] = SEVEN
    encoder: Annotated[Encoder, Field(discriminator="kind")] | None = None
    memory: Annotated[int, Field(ge=0)] | None = None
    reward: Annotated[RewardModel, Field(discriminator="kind")] | None = None
    episode: Episode | None = None
    initial_hold_prob: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    raw_dollars: bool = False


class Ablations(Section):
    """Variants of the candidate, trained alike on every rolling fold.

    Attributes:
        iterations: of every variant, the baseline among them. baseline: the variant that the others are held against.
    """

    iterations: Count
    seeds: Annotated[tuple[int, ...], BeforeValidator(as_tuple), Field(min_length=1)]
    baseline: str
    variants: Annotated[dict[str, Variant], Field(min_length=2)]

    @model_validator(mode="after")
    def _named(self) -> "Ablations":
        if self.baseline not in self.variants:
            raise ValueError(f"baseline is '{self.baseline}', which is no entry of variants")
        return self


class OrderLessons(Section):
    """Where the market of orders asks for another PPO: what an order earns comes bars after it was sent."""

    gamma: Fraction = 0.95
    gae_lambda: Fraction = 0.90
    entropy_coef: NotNegative = 0.03
    iterations: Count = 100


class Laboratory(Section):
    """The known-answer markets: `train` is the PPO of the laboratory, whose seeds are those of every learner there.

    Attributes:
        longer: iterations of the markets where an edge is small beside its noise, in place of train.iterations.
        exam_bars: fresh bars on which each learner is judged. table_bars: bars from which a table learns.
        tabular: the table of the laboratory, whose grid holds every optimum.
    """

    exam_bars: Count = 20_000
    table_bars: Count = 200_000
    longer: dict[str, Count]
    train: Train
    orders: OrderLessons = OrderLessons()
    tabular: Tabular


class Plan(Section):
    """What is compared and how it is decided, fixed and hashed before anything is evaluated."""

    candidate: str
    reference: str
    endpoint: Literal["daily_log_growth_difference"]
    alpha: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.05
    blocks: Annotated[int, Field(ge=4)] = 8
    power: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.80
    bootstrap_draws: Count = 10_000
    bootstrap_block_days: Count = 60
    bootstrap_seed: int = 20261120
    min_trades_per_regime: Count = 30
    regimes: Annotated[tuple[RegimeName, ...], BeforeValidator(as_tuple), Field(min_length=1, max_length=4)]


class Params(Section):
    """The whole of params.yaml."""

    data: Data
    regimes: Regimes
    signals: Signals
    splits: Splits
    observation: Observation
    account: Account
    train: Train
    arms: dict[str, Arm]
    plan: Plan
    trading: Trading
    ablations: Ablations
    tabular: Tabular
    outcome: Outcome
    laboratory: Laboratory
    slices: Slices
    calibration: Calibration
    stress: Stress
    overfitting: Overfitting
    cpcv: Cpcv

    @model_validator(mode="after")
    def _consistent(self) -> "Params":
        if self.splits.purge_bars <= self.signals.max_hold_bars:
            raise ValueError("splits.purge_bars must exceed signals.max_hold_bars, the longest holding time")
        for name, arm in self.arms.items():
            if isinstance(arm, AtrMatchedArm) and not isinstance(self.arms.get(arm.matches), PpoArm):
                raise ValueError(f"arms.{name}.matches is '{arm.matches}', which is no ppo entry of arms")
        for role in ("candidate", "reference"):
            name = getattr(self.plan, role)
            if name not in self.arms:
                raise ValueError(f"plan.{role} is '{name}', which is no entry of arms")
            arm = self.arms[name]
            if isinstance(arm, LearnedArm) and set(arm.splits) != {"rolling", "anchored"}:
                raise ValueError(f"plan.{role} '{name}' must be trained on both splits: set arms.{name}.splits to both")
        unknown = [name for name in self.stress.arms if name not in self.arms]
        if unknown:
            raise ValueError(f"stress.arms names '{unknown[0]}', which is no entry of arms")
        return self


SECTIONS: dict[str, type[Section]] = {
    "data": Data,
    "regimes": Regimes,
    "signals": Signals,
    "splits": Splits,
    "observation": Observation,
    "account": Account,
    "train": Train,
    "plan": Plan,
    "trading": Trading,
    "ablations": Ablations,
    "tabular": Tabular,
    "outcome": Outcome,
    "laboratory": Laboratory,
    "slices": Slices,
    "calibration": Calibration,
    "stress": Stress,
    "overfitting": Overfitting,
    "cpcv": Cpcv,
}


class Arms(Section):
    """The `arms` section alone, for a stage that is given nothing else."""

    arms: dict[str, Arm]


Model = TypeVar("Model", bound=BaseModel)


_NUMBER = "a plain number is meant (YAML reads 1e-4 as text: write 1.0e-4, 1.0e+4)"
# What to write instead of a text, by pydantic's type of error.
_REMEDIES = {
    "float_type": _NUMBER,
    "int_type": _NUMBER,
    "tuple_type": "a list is meant: write [a, b]",
    "bool_type": "write true or false",
    "value_error": "a date is meant: write 2020-01-31",
}


# Sections of several kinds, by where they stand; arms and an order scheme's criteria hold one such section an entry.
_OF_KINDS = (
    ["trading", "scheme"],
    ["trading", "costs"],
    ["trading", "reward"],
    ["train", "reward"],
    ["train", "encoder"],
    ["laboratory", "train", "reward"],
    ["laboratory", "train", "encoder"],
)


def _chooses_kind(path: list[str], i: int) -> bool:
    """Whether a section of several kinds ends at path[i]."""
    if path[:i] in (["arms"], ["trading", "scheme", "criteria"]) or path[: i + 1] in _OF_KINDS:
        return True
    if path[0] == "ablations":
        return path[1:2] == ["variants"] and i == 3 and path[3] in ("actions", "encoder", "reward")
    return i == 2 and path[0] == "arms" and path[2] == "actions"


def _explain(error: ValidationError, where: str) -> str:
    first = error.errors()[0]
    path = [str(part) for part in (where, *first["loc"]) if str(part)]
    for i in range(len(path)):
        if _chooses_kind(path, i):
            del path[i + 1 : i + 2]  # pydantic puts the kind between a section and its key
    place = ".".join(path)
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        return f"params: unknown parameter '{place}': remove it or mend its name"
    if first["type"].startswith("union_tag"):
        known = first.get("ctx", {}).get("expected_tags")
        return f"params: '{place}' needs a kind" + (f", one of {known}" if known else ": see the models of params.yaml")
    if first["type"] == "missing":
        return f"params: '{place}' is missing: add it to params.yaml"
    if first["type"] in _REMEDIES and isinstance(first["input"], str):
        message += f"; {_REMEDIES[first['type']]}"
    if isinstance(first["input"], (str, int, float, bool)):
        message += f"; got {first['input']!r}"
    return f"params: {message}" if not place else f"params: '{place}': {message}"


def _validate(model: type[Model], value: Any, where: str) -> Model:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise ConfigError(_explain(error, where)) from None


def parse_section(name: str, value: Any) -> Any:
    """One section of params.yaml as its frozen model (for `arms`: a dict of models).

    Raises:
        ConfigError: unknown section or key, missing value, wrong type or range.
    """
    if name == "arms":
        return _validate(Arms, {"arms": value}, "").arms
    if name not in SECTIONS:
        raise ConfigError(f"params: unknown section '{name}': sections are {', '.join([*SECTIONS, 'arms'])}")
    return _validate(SECTIONS[name], value, name)


def parse_params(values: Any) -> Params:
    """All sections, with the checks that span several of them.

    Raises:
        ConfigError: as `parse_section`, and for sections that contradict each other.
    """
    return _validate(Params, values, "")


def read_yaml(path: Path) -> Any:
    """A YAML file's content.

    Raises:
        ConfigError: the file is missing or is no YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path.name}: cannot be read ({error.strerror})") from None
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
        raise ConfigError(f"{path.name}: line {line} is no valid YAML") from None


def _overlay(base: Any, change: Any) -> Any:
    if isinstance(base, dict) and isinstance(change, dict):
        return {key: _overlay(base.get(key), change.get(key, base.get(key))) for key in {**base, **change}}
    return change


def read_params(root: Path, profile: str = "full") -> dict[str, Any]:
    """The raw, validated sections of params.yaml; a profile overlays `tests/<profile>.yaml` on them.

    Raises:
        ConfigError: anything `parse_params` refuses.
    """
    values = read_yaml(root / "params.yaml")
    if profile != "full":
        values = _overlay(values, read_yaml(root / "tests" / f"{profile}.yaml"))
    parse_params(values)
    return values
