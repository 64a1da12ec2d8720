"""Read, overlay and validate params.yaml: frozen models, one file a section, unknown keys refused."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from sizewise.base.errors import ConfigError, DataMissingError
from sizewise.base.paths import project_root
from sizewise.base.yamls import LOADER, load_yaml
from sizewise.params.fields import reason
from sizewise.params.trading.world import World

# Where the model of each section stands. It is loaded when the section is read: a stage depends on the sections it is given.
SECTIONS = {
    "data": "dataset.data:Data",
    "regimes": "dataset.regimes:Regimes",
    "signals": "dataset.signals:Signals",
    "splits": "dataset.splits:Splits",
    "observation": "dataset.observation:Observation",
    "account": "trading.account:Account",
    "rules": "trading.trading:Rules",
    "decisions": "trading.decisions:Decisions",
    "train": "learning.train:Train",
    "direct": "learning.direct:Direct",
    "arms": "arms:Arms",
    "plan": "evidence.plan:Plan",
    "trading": "trading.trading:Trading",
    "ablations": "studies.ablations:Ablations",
    "tabular": "learning.tabular:Tabular",
    "outcome": "learning.outcome:ClosedTrades",
    "laboratory": "studies.laboratory:Laboratory",
    "slices": "evidence.slices:Slices",
    "assay": "studies.assay:Assay",
    "budget": "studies.budget:Budget",
    "calibration": "studies.calibration:Calibration",
    "stress": "studies.stress:Stress",
    "overfitting": "studies.overfitting:Overfitting",
    "cpcv": "studies.cpcv:Cpcv",
    "stability": "studies.stability:Stability",
    "small_account": "studies.small_account:SmallAccount",
    "schemes": "studies.schemes:Schemes",
    "families": "studies.families:Families",
    "tables": "studies.tables:Tables",
    "outside": "studies.outside:Outside",
}
# What may stand in place of a section: one word, or a mapping of that kind.
INSTEAD = {("splits", "auto"): "dataset.splits:AutoSplits"}

Model = TypeVar("Model", bound=BaseModel)


class Params(SimpleNamespace):
    """All sections of params.yaml, each under its name: a frozen model, or for `arms` a dict of them."""

    def replace(self, **sections: Any) -> "Params":
        """The same with other sections in place."""
        return Params(**{**vars(self), **sections})


def _place(loc: Sequence[int | str], value: Any) -> list[str]:
    """Where an error stands in the file; pydantic puts the kind between a section of several kinds and its key."""
    path: list[str] = []
    told = False
    for part in loc:
        # A key may have the name of a kind, so only the first of the two is it.
        if not told and isinstance(value, dict) and part == value.get("kind"):
            told = True
            continue
        told = False
        path.append(str(part))
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, (list, tuple)) and isinstance(part, int) and part < len(value):
            value = value[part]
    return path


def _explain(error: ValidationError, value: Any, where: str) -> str:
    first = error.errors()[0]
    place = ".".join(part for part in (where, *_place(first["loc"], value)) if part)
    if first["type"] == "extra_forbidden":
        return f"params: unknown parameter '{place}': remove it or mend its name"
    if first["type"].startswith("union_tag"):
        known = first.get("ctx", {}).get("expected_tags")
        return f"params: '{place}' needs a kind" + (f", one of {known}" if known else ": see the models of params.yaml")
    if first["type"] == "missing":
        return f"params: '{place}' is missing: add it to params.yaml"
    message = reason(dict(first))
    return f"params: {message}" if not place else f"params: '{place}': {message}"


def _validate(model: type[Model], value: Any, where: str) -> Model:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise ConfigError(_explain(error, value, where)) from None


def section_file(name: str) -> str:
    """The file of a section's model, within the package."""
    return f"params/{SECTIONS[name].split(':')[0].replace('.', '/')}.py"


def section_model(name: str) -> type[BaseModel]:
    """The model of a section.

    Raises:
        ConfigError: there is no such section.
    """
    if name not in SECTIONS:
        raise ConfigError(f"params: unknown section '{name}': sections are {', '.join(SECTIONS)}")
    module, model = SECTIONS[name].split(":")
    return getattr(import_module(f"sizewise.params.{module}"), model)


def of_a_study(name: str) -> bool:
    """Whether a section is of one study alone: a project that does not run the study needs none."""
    return SECTIONS[name].startswith("studies.")


def asked_for(name: str, value: Any) -> str | None:
    """The kind of what stands in place of a section, such as `auto` for `splits`; None where it is written out."""
    kind = value.get("kind") if isinstance(value, dict) else value
    return kind if isinstance(kind, str) and (name, kind) in INSTEAD else None


def parse_section(name: str, value: Any) -> Any:
    """One section of params.yaml as its frozen model (for `arms`: a dict of models).

    Raises:
        ConfigError: unknown section or key, missing value, wrong type or range.
    """
    kind = asked_for(name, value)
    if kind is not None:
        module, instead = INSTEAD[name, kind].split(":")
        values = value if isinstance(value, dict) else {"kind": kind}
        return _validate(getattr(import_module(f"sizewise.params.{module}"), instead), values, name)
    model = section_model(name)
    if name == "arms":
        return _validate(model, {"arms": value}, "").arms  # type: ignore[attr-defined]
    return _validate(model, value, name)


def parse_params(values: Any) -> Params:
    """All sections, with the checks that span several of them; those of studies where there are any.

    Raises:
        ConfigError: as `parse_section`, for sections too many or too few, and for such as contradict each other.
    """
    if not isinstance(values, dict):
        raise ConfigError("params: a valid dictionary of sections is meant: write `section: {key: value}`")
    for name in values:
        if name not in SECTIONS:
            raise ConfigError(f"params: unknown parameter '{name}': remove it or mend its name")
    for name in SECTIONS:
        if name not in values and not of_a_study(name):
            raise ConfigError(f"params: '{name}' is missing: add it to params.yaml")
    params = Params(**{name: parse_section(name, values[name]) for name in SECTIONS if name in values})
    _check_together(params)
    return params


def _check_together(p: Params) -> None:
    for name, arm in p.arms.items():
        matches = getattr(arm, "matches", None)
        if matches is not None and getattr(p.arms.get(matches), "kind", None) != "ppo":
            raise ConfigError(f"params: arms.{name}.matches is '{matches}', which is no ppo entry of arms")
        of = getattr(arm, "of", None)
        if of is not None and getattr(getattr(p.arms.get(of), "scheme", None), "kind", None) != "multiples_of":
            raise ConfigError(
                f"params: arms.{name}.of is '{of}', which is no ppo entry of arms with scheme multiples_of"
            )
    for role in ("candidate", "reference"):
        name = getattr(p.plan, role)
        if name not in p.arms:
            raise ConfigError(f"params: plan.{role} is '{name}', which is no entry of arms")
        splits = getattr(p.arms[name], "splits", None)
        if splits is not None and set(splits) != {"rolling", "anchored"}:
            raise ConfigError(
                f"params: plan.{role} '{name}' must be trained on both splits: set arms.{name}.splits to both"
            )
    if p.plan.entry is not None:
        _check_entry(p)
    _check_studies(p)


def _check_studies(p: Params) -> None:
    """The arms that studies name exist, of those studies that have a section."""
    small, tables, stress = (getattr(p, name, None) for name in ("small_account", "tables", "stress"))
    if small is not None and small.reference not in p.arms:
        raise ConfigError(f"params: small_account.reference is '{small.reference}', which is no entry of arms")
    for name, variant in tables.variants.items() if tables is not None else ():
        if variant.arm not in p.arms:
            raise ConfigError(f"params: tables.variants.{name}.arm is '{variant.arm}', which is no entry of arms")
    for name in stress.arms if stress is not None else ():
        if name not in p.arms:
            raise ConfigError(f"params: stress.arms names '{name}', which is no entry of arms")


def _check_entry(p: Params) -> None:
    """The question of one size a trade is asked of arms that exist, differ from each other, and decide at entries."""
    for role in ("candidate", "reference"):
        name = getattr(p.plan.entry, role)
        arm = p.arms.get(name)
        if arm is None:
            raise ConfigError(f"params: plan.entry.{role} is '{name}', which is no entry of arms")
        # A rule of one size a trade holds it by itself; what chooses again at each decision must be asked at entries alone.
        if arm.kind == "ppo" and arm.world(World.of(p)).decisions.every != "entry":
            raise ConfigError(
                f"params: plan.entry.{role} '{name}' decides after its entries too: set arms.{name}.decisions to "
                "{every: entry}"
            )


def read_yaml(path: Path) -> Any:
    """A YAML file's content.

    Raises:
        ConfigError: the file is missing or is no YAML.
    """
    try:
        return load_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path.name}: cannot be read ({error.strerror})") from None
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
        raise ConfigError(f"{path.name}: line {line} is no valid YAML") from None


def place_of(*keys: str) -> str:
    """Where keys stand in the params.yaml at hand, as file:line: keys; the keys alone where there is none."""
    said = ".".join(keys)
    try:
        path = project_root() / "params.yaml"
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=LOADER)
    except (DataMissingError, OSError, yaml.YAMLError):
        return said
    line = 0
    for key in keys:
        found = [pair for pair in getattr(node, "value", []) if pair[0].value == key]
        if not found:
            return said
        line, node = found[0][0].start_mark.line + 1, found[0][1]
    return f"params.yaml:{line}: {said}"


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
