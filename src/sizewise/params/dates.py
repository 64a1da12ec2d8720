"""The dates that `splits: auto` came to: found once from the bars, kept in artifacts/splits.json, read by every stage."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sizewise.base.errors import ConfigError, DataMissingError
from sizewise.base.hashing import content_hash
from sizewise.base.paths import write_json
from sizewise.params.dataset.splits import AutoSplits, Splits
from sizewise.params.reading import asked_for, parse_section

DATES = "artifacts/splits.json"
REMEDY = "run `dvc repro splits`, or a command that runs the whole, which finds them first"
# What the dates depend on beside the bars.
SECTIONS = ("data", "regimes", "signals", "observation", "splits")


def question(values: Mapping[str, Any]) -> str:
    """Hash of everything in params.yaml that the dates depend on.

    Args:
        values: raw sections, as declared.
    """
    sections = {name: values[name] for name in SECTIONS}
    return content_hash(json.dumps(sections, sort_keys=True, default=str).encode())


def write_dates(base: Path, values: Mapping[str, Any], found: Splits) -> None:
    """Keep the dates beside what they were asked by.

    Args:
        base: the profile's folder. values: raw sections, as declared.
    """
    rule = parse_section("splits", values["splits"])
    record: dict[str, Any] = {"splits": found.model_dump(mode="json")}
    if isinstance(rule, AutoSplits):
        record = {"question": question(values), "rule": rule.model_dump(mode="json"), **record}
    write_json(base / DATES, record)


def rule_of(base: Path) -> dict[str, Any] | None:
    """The rule that found the dates, as it was declared with its defaults; None where dates were written out.

    Args:
        base: the profile's folder.
    Raises:
        DataMissingError: the file is damaged.
    """
    path = base / DATES
    if not path.is_file():
        return None
    try:
        rule = json.loads(path.read_bytes()).get("rule")
    except (ValueError, AttributeError):
        raise DataMissingError(f"{DATES} is damaged: run `dvc repro -f splits`") from None
    return None if rule is None else dict(rule)


def with_dates(base: Path, values: dict[str, Any]) -> dict[str, Any]:
    """The same sections, with the dates in place of a rule that finds them; sections with dates of their own as they are.

    Args:
        base: the profile's folder. values: raw sections, as declared.
    Raises:
        DataMissingError: the dates were not found yet, or the file is damaged.
        ConfigError: they were found for other parameters.
    """
    if asked_for("splits", values["splits"]) is None:
        return values
    path = base / DATES
    if not path.is_file():
        raise DataMissingError(f"splits: auto has found no dates yet ({DATES} is missing): {REMEDY}")
    try:
        held = json.loads(path.read_bytes())
        dates, asked = dict(held["splits"]), held["question"]
    except (ValueError, KeyError, TypeError):
        raise DataMissingError(f"{DATES} is damaged: run `dvc repro -f splits`") from None
    if asked != question(values):
        raise ConfigError(
            f"{DATES} holds dates for other parameters than params.yaml now has ({', '.join(SECTIONS)}): {REMEDY}"
        )
    return {**values, "splits": dates}
