"""What a notebook is told: the sections of params.yaml its stage declares in dvc.yaml, validated, and where to write."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sizewise.base.errors import ConfigError, DataMissingError
from sizewise.base.hashing import content_hash
from sizewise.base.paths import Workspace, project_root, write_json
from sizewise.params.dates import with_dates
from sizewise.params.reading import parse_section, read_params, read_yaml
from sizewise.params.rule_arms import YARDSTICKS

PIPELINES = ("dvc.yaml", "studies/dvc.yaml")


# Of the arms, a stage that depends on artifacts/arms/<stage>.json is given those that it uses; see used_arms.
ARMS_FOLDER = "artifacts/arms"
# Stages that find signals or features in bars depend on it, and who calls a signal by its name.
SIGNAL_FILE = f"{ARMS_FOLDER}/signals.json"


def declared_sections(root: Path, name: str) -> tuple[str, ...]:
    """The sections of params.yaml that a stage of dvc.yaml depends on, in the order declared.

    Raises:
        ConfigError: there is no such stage.
    """
    stages = all_stages(root)
    if name not in stages:
        raise ConfigError(f"dvc.yaml has no stage '{name}': stages are {', '.join(stages)}")
    some = f"{ARMS_FOLDER}/{name}.json" in stages[name].get("deps", ())
    return (*stages[name].get("params", ()), *(["arms"] if some else []))


def used_arms(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of `arms` that a stage uses: a change of another one does not run it again.

    Args:
        values: all sections, raw.
    """
    arms, plan = values["arms"], values["plan"]
    compared = {plan["candidate"], plan["reference"]}
    # A project that runs none of the studies has no section of them.
    small, stressed = values.get("small_account", {}), values.get("stress", {})
    variants = values.get("tables", {}).get("variants", {})
    used: set[str] = {
        "train": _trained(parse_section("arms", arms)),
        "assay": compared,
        "budget": {plan["candidate"]},
        "calibration": {plan["reference"]},
        "small_account": {small["reference"]} if small else set(),
        "families": {plan["reference"]},
        "stress": compared | set(stressed.get("arms", ())),
        "ablation": compared,
        "scheme": compared,
        "table": {plan["reference"]} | {variant["arm"] for variant in variants.values()},
        "cpcv": compared,
        "stability_run": compared,
    }.get(name, set(arms))
    used |= {arms[arm][other] for arm in used for other in ("matches", "of") if other in arms[arm]}
    return {arm: entry for arm, entry in arms.items() if arm in used}


def _trained(arms: Mapping[str, Any]) -> set[str]:
    """Arms that learn, and the first of each kind that a learner is held against."""
    first = {model.kind: arm for arm, model in reversed(list(arms.items()))}
    learned = {arm for arm, model in arms.items() if model.learned}
    return learned | {first[kind] for kind in YARDSTICKS if kind in first}


def all_stages(root: Path) -> dict[str, Any]:
    """The stages of the main job, then those of the studies, by name."""
    stages: dict[str, Any] = {}
    for place in PIPELINES:
        if (root / place).is_file():
            stages |= (read_yaml(root / place) or {}).get("stages", {})
    return stages


def stage_params(root: Path, name: str, profile: str = "full") -> dict[str, Any]:
    """The raw values a stage is given: its declared sections of the profile's parameters and nothing else.

    A stage is given dates, never a rule that finds them.

    Raises:
        ConfigError: unknown stage, or parameters that `reading.parse_params` refuses.
        DataMissingError: a stage with splits is asked for, and `splits: auto` has found no dates yet.
    """
    values = read_params(root, profile)
    if "splits" in declared_sections(root, name):
        values = dated_params(root, profile)
    values["arms"] = used_arms(name, values)
    declared = declared_sections(root, name)
    missing = [section for section in declared if section not in values]
    if missing:
        raise ConfigError(f"params: '{missing[0]}' is missing, which stage {name} needs: add it to params.yaml")
    return {section: values[section] for section in declared}


def dated_params(root: Path, profile: str = "full") -> dict[str, Any]:
    """All raw sections, validated, with dates where `splits: auto` asks for some; see dates.with_dates."""
    return with_dates(root if profile == "full" else root / "build" / profile, read_params(root, profile))


@dataclass(frozen=True)
class Stage:
    """An opened stage: `params.<section>` are frozen models, `workspace` its folders, `params_hash` of what it was given."""

    name: str
    params: Any
    workspace: Workspace
    params_hash: str

    def write_metrics(self, values: Mapping[str, Any], name: str | None = None) -> None:
        """Write metrics/<name>.json (the stage's, if none is given), whole; floats as given, keys in the order given."""
        write_json(self.workspace.metrics / f"{name or self.name}.json", values)

    def read_metrics(self, name: str) -> dict[str, Any]:
        """What an earlier stage wrote to metrics/<name>.json; this stage declares the file in its deps.

        Raises:
            DataMissingError: it has not run, or the file is damaged.
        """
        path = self.workspace.metrics / f"{name}.json"
        if not path.is_file():
            raise DataMissingError(f"metrics/{name}.json is missing: run `dvc repro {name}`")
        try:
            return dict(json.loads(path.read_bytes()))
        except (ValueError, TypeError):
            raise DataMissingError(f"metrics/{name}.json is damaged: run `dvc repro -f {name}`") from None


def open_stage(name: str, params: Mapping[str, Any] | None = None, profile: str = "full") -> Stage:
    """Validate what a notebook was given, before anything else happens in it.

    Args:
        params: raw sections as injected by the runner; None (a notebook opened by hand) reads params.yaml.
        profile: `full`, or a profile of `tests/<profile>.yaml` whose results go to `build/<profile>`.
    Raises:
        ConfigError: a section is missing, undeclared or invalid.
    """
    root = project_root()
    declared = declared_sections(root, name)
    values = stage_params(root, name, profile) if params is None else dict(params)
    odd = set(values) ^ set(declared)
    if odd:
        raise ConfigError(f"stage {name}: sections {sorted(odd)} differ from those dvc.yaml declares: {list(declared)}")
    sections = {section: parse_section(section, values[section]) for section in declared}
    digest = content_hash(json.dumps(values, sort_keys=True, default=str).encode())
    return Stage(name, SimpleNamespace(**sections), Workspace.open(profile), digest)
