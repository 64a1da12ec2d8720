"""The verdict: its file, and the sentences that state it. Prose about results is written here, from numbers only."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sizewise.base.errors import DataMissingError
from sizewise.base.words import counted
from sizewise.evidence.gates import SAID_ALONE, Gate
from sizewise.evidence.inference import Comparison
from sizewise.evidence.joint_rule import JointTest
from sizewise.ledgers.metrics import BPS

FIELDS = (
    "verdict",
    "endpoint",
    "effect_bps_per_day",
    "ci_low",
    "ci_high",
    "p_value",
    "mde_bps_per_day",
    "n_days",
    "n_symbols",
    "n_seeds",
    "n_folds",
    "n_trials",
    "plan_hash",
    "data_hash",
    "breaches",
    "doubts",
    "training_error_bps",
    "seeds_changing_pct",
    "fragile",
    "gates",
)
# What a verdict of an earlier commit does not have.
LATER: dict[str, Any] = {"fragile": "", "gates": {}}
# Results are rounded where they leave the program: far below any interval, far above rounding noise.
DIGITS = 6


def verdict_record(
    comparison: Comparison,
    *,
    endpoint: str,
    n_symbols: int,
    n_seeds: int,
    n_folds: int,
    n_trials: int,
    plan_hash: str,
    data_hash: str,
    gates: Sequence[Gate] = (),
) -> dict[str, Any]:
    """The content of metrics/verdict.json, keys as in FIELDS; effect and interval in basis points of equity a day.

    `breaches`: what voids the verdict, a sentence each; then `verdict` is `invalid`. `doubts`: what training leaves open;
    then it is `inconclusive`. `training_error_bps`, `seeds_changing_pct`: the standard error that is training's, and the
    share of redraws of the seeds whose verdict is another; null where nothing was trained. `fragile`: the test that rejects
    alone, or nothing. `gates`: by name holds (null: not measured), value, threshold, sentence; one that voids makes
    `verdict` invalid.
    """
    primary, seeds = comparison.primary, comparison.seeds
    return {
        "verdict": "invalid" if any(gate.voids for gate in gates) else comparison.verdict,
        "endpoint": endpoint,
        **effect_record(primary),
        "mde_bps_per_day": round(float(primary.mde) * BPS, DIGITS),
        "n_days": len(comparison.daily),
        "n_symbols": n_symbols,
        "n_seeds": n_seeds,
        "n_folds": n_folds,
        "n_trials": n_trials,
        "plan_hash": plan_hash,
        "data_hash": data_hash,
        "breaches": list(comparison.breaches),
        "doubts": list(comparison.doubts),
        "training_error_bps": None if seeds is None else round(seeds.error * BPS, DIGITS),
        "seeds_changing_pct": None if seeds is None else round(100.0 * seeds.changed_frac, DIGITS),
        "fragile": primary.alone,
        "gates": {gate.name: gate.record() for gate in gates},
    }


def effect_record(test: JointTest) -> dict[str, float]:
    """A test's effect with its interval, basis points of equity a day, and its p-value, rounded."""
    effect = {"effect_bps_per_day": test.mean, "ci_low": test.low, "ci_high": test.high}
    in_bps = {name: round(float(value) * BPS, DIGITS) for name, value in effect.items()}
    return {**in_bps, "p_value": round(test.p_value, DIGITS)}


def read_record(path: Path) -> dict[str, Any]:
    """What the compare stage wrote to metrics/verdict.json; `entry` is None where one question was asked.

    Raises:
        DataMissingError: it has not run, or the file is damaged.
    """
    if not path.is_file():
        raise DataMissingError(f"metrics/{path.name} is missing: run `dvc repro`")
    try:
        values = json.loads(path.read_bytes())
        known = {name: LATER[name] if name in LATER and name not in values else values[name] for name in FIELDS}
        return {**known, "entry": values.get("entry")}
    except (ValueError, KeyError, TypeError):
        raise DataMissingError(f"metrics/{path.name} is damaged: run `dvc repro -f compare`") from None


def verdict_sentence(record: Mapping[str, Any], candidate: str, reference: str, alpha: float = 0.05) -> str:
    """The verdict in words, with its interval (of level 1 - alpha), p-value and minimum detectable effect."""
    effect = f"{record['effect_bps_per_day']:+.2f} bps of equity a day"
    level = f"{100.0 * (1.0 - alpha):.4g}% interval"
    interval = f"{level} {record['ci_low']:+.2f} to {record['ci_high']:+.2f}, p = {record['p_value']:.3f}"
    span = ", ".join(counted(record[f"n_{name}s"], name) for name in ("day", "symbol", "fold", "seed"))
    match record["verdict"]:
        case "invalid":
            broken = "; ".join([*record["breaches"], *_failed(record)])
            return f"No verdict on {candidate} against {reference}: {broken}. The figures ({effect}; {span}) decide nothing."
        case "better":
            claim = f"{candidate} grew faster than {reference}"
        case "worse":
            claim = f"{candidate} grew more slowly than {reference}"
        case _:
            claim = f"no difference between {candidate} and {reference} can be told from chance"
    doubts = "".join(f" {doubt[0].upper()}{doubt[1:]}." for doubt in record["doubts"])
    power = (
        f"By the noise of its days the test finds true differences of {record['mde_bps_per_day']:.2f} bps a day with the "
        f"declared power, and smaller ones less often.{doubts}{_fragile(record)}{_beside(record)}"
    )
    return f"Out of sample and net of costs, {claim}: {effect} ({interval}; {span}). {power}"


def _failed(record: Mapping[str, Any]) -> list[str]:
    """The gates that void the verdict, each with what it found, without a full stop."""
    return [
        f"the gate `{name}` failed: {gate['sentence'].removesuffix('.')}"
        for name, gate in record["gates"].items()
        if gate["holds"] is False and name not in SAID_ALONE
    ]


def _fragile(record: Mapping[str, Any]) -> str:
    """That one of the two tests rejects and the other does not."""
    if not record["fragile"]:
        return ""
    return f" Fragile: of the two tests that must agree, {record['fragile']} alone rejects."


def _beside(record: Mapping[str, Any]) -> str:
    """Gates that leave the verdict, and must be known beside it."""
    gates = record["gates"]
    said = [gate["sentence"] for name, gate in gates.items() if gate["holds"] is False and name in SAID_ALONE]
    missing = [f"`{name}`" for name, gate in gates.items() if gate["holds"] is None]
    if missing:
        said.append(f"Gates that were not measured: {', '.join(missing)}.")
    return "".join(f" {sentence}" for sentence in said)


def seeds_sentence(record: Mapping[str, Any]) -> str:
    """How much of the verdict is the luck of training."""
    if record["training_error_bps"] is None:
        return "Nothing was trained here, so no seed was drawn."
    return (
        f"Training is a draw as well: its standard error over {counted(record['n_seeds'], 'seed')} is "
        f"{record['training_error_bps']:.2f} bps a day and is part of the interval, and other draws of the seeds change the "
        f"class of the primary test in {record['seeds_changing_pct']:.1f}% of redraws."
    )


def headline(record: Mapping[str, Any], candidate: str, reference: str) -> str:
    """A title of a few words."""
    if record["verdict"] == "invalid":
        failed = [name for name, gate in record["gates"].items() if gate["holds"] is False and name not in SAID_ALONE]
        why = f"the gate {failed[0]} failed" if failed and not record["breaches"] else "an assumption is violated"
        return f"{candidate} against {reference}: no verdict, {why}"
    words = {"better": "beats", "worse": "does worse than"}
    if record["verdict"] in words:
        return f"{candidate} {words[record['verdict']]} {reference}"
    return f"{candidate} against {reference}: inconclusive"


def agreement_sentence(table: pd.DataFrame, alpha: float) -> str:
    """Which secondary tests reject where the primary one does, and which do not; and which were not run.

    Args:
        table: Comparison.table: index test, columns role and p_value (NaN: not run), the primary test first.
    """
    secondary = table[table["role"] == "secondary"]
    untested = [str(name) for name in secondary.index[secondary["p_value"].isna()]]
    secondary = secondary.dropna(subset="p_value")
    rejecting = [str(name) for name in secondary.index[secondary["p_value"] < alpha]]
    others = [str(name) for name in secondary.index if name not in rejecting]
    primary = "rejects" if float(table["p_value"].iloc[0]) < alpha else "does not reject"
    parts = [f"The primary test {primary} at the {100.0 * alpha:.4g}% level."]
    if rejecting:
        parts.append(f"Of the secondary tests these reject: {'; '.join(rejecting)}.")
    if others:
        parts.append(f"{'These do not' if rejecting else 'No secondary test rejects'}: {'; '.join(others)}.")
    if untested:
        parts.append(f"Not run here: {'; '.join(untested)}.")
    return " ".join(parts)


def anchored_sentence(rolling: Mapping[str, Any], anchored: Mapping[str, float], alpha: float) -> str:
    """Whether the sensitivity to anchored training agrees with the verdict in sign and in what it can tell.

    Args:
        rolling: the verdict's record. anchored: see effect_record.
    """
    effect, low, high, p_value = (anchored[name] for name in ("effect_bps_per_day", "ci_low", "ci_high", "p_value"))
    told = "can be told from chance" if p_value < alpha else "cannot be told from chance"
    same = "the same sign as" if effect * rolling["effect_bps_per_day"] > 0 else "another sign than"
    # Of a rule nothing is trained; its risk is matched, and the confidence that it reads fitted, on the same bars.
    how = "Matched in risk" if rolling["training_error_bps"] is None else "Trained"
    if effect == low == high == 0.0:
        return f"{how} on all bars before each fold, the two do not differ on any day."
    return (
        f"{how} on all bars before each fold, the difference is {effect:+.2f} bps a day "
        f"({low:+.2f} to {high:+.2f}, p = {p_value:.3f}): {same} the verdict's, and it {told}."
    )


def cap_sentence(share_at_cap_pct: float, reference: str) -> str:
    """How much of the reference's sizing is the cap and not the rule."""
    text = f"{reference} asks for the cap or more at {share_at_cap_pct:.0f}% of its entries"
    if share_at_cap_pct > 90.0:
        return f"{text}: on these bars it is close to a constant size, and the comparison is against that."
    if share_at_cap_pct > 50.0:
        return f"{text}: at more than half of them the cap decides its size, and not the rule."
    return f"{text}; elsewhere the rule decides."


def exposure_sentence(candidate_pct: float, reference_pct: float, candidate: str, reference: str) -> str:
    """How far the two arms differ in mean exposure, before any difference is called skill."""
    ratio = candidate_pct / reference_pct if reference_pct > 0 else float("inf")
    text = f"Mean exposure is {candidate_pct:.2f}% of equity for {candidate} and {reference_pct:.2f}% for {reference}"
    if candidate_pct == 0.0:
        return f"{text}: {candidate} held nothing on any test day, and what is compared with {reference} is cash."
    if 0.8 <= ratio <= 1.25:
        return f"{text}: the two carry about the same, so a difference is not leverage alone."
    more = "more" if ratio > 1 else "less"
    return f"{text}: {candidate} carries {more}, so part of any difference is exposure and not skill in sizing."


def regime_sentence(name: str, row: Mapping[str, float], alpha: float) -> str:
    """One regime's line: its effect with its interval, or why there is none."""
    label = name.replace("_", " ")
    if row["p_value"] != row["p_value"]:
        return f"{label}: {counted(row['n_trades'], 'trade')} on {counted(row['n_days'], 'day')}, too few to test."
    told = "differs after Holm" if row["p_holm"] < alpha else "does not differ after Holm"
    return (
        f"{label}: {row['effect_bps']:+.2f} bps ({row['low_bps']:+.2f} to {row['high_bps']:+.2f}), "
        f"p = {row['p_value']:.3f}, Holm {row['p_holm']:.3f}: {told}."
    )


def field_sentence(field: pd.DataFrame, reference: str, alpha: float) -> str:
    """Which arms differ from the reference after Holm.

    Args:
        field: index arm, columns effect_bps and p_holm; NaN where an arm was not tested.
    """
    tested = field[field["p_holm"].notna()]
    found = tested[tested["p_holm"] < alpha]
    if found.empty:
        return f"Of {counted(len(tested), 'arm')} none differs from {reference} after Holm."
    names = ", ".join(f"{name} ({row['effect_bps']:+.2f} bps a day)" for name, row in found.iterrows())
    differ = "1 differs" if len(found) == 1 else f"{len(found)} differ"
    return f"Of {counted(len(tested), 'arm')} {differ} from {reference} after Holm: {names}."
