"""Every parameter of every section refuses what its model does not declare, with one line that names it and its remedy.

What is refused is read off the models, so that a field or a bound that is added is tried as well.
"""

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sizewise.base.errors import ConfigError
from sizewise.params import reading
from sizewise.params.reading import SECTIONS, parse_section, read_yaml, section_model

from ...conftest import ROOT

ENTRY = "entry"
NUMBER, KEY, MISSING = "write 1.0e-4", "remove it or mend its name", "add it to params.yaml"
ABSENT = object()
MAPPINGS = (dict, Mapping)
Path = tuple[str | int, ...]
# How a bound is said, and the way out of it; 0 where the bound itself is out.
BEYOND = {
    Ge: ("greater than or equal to", -1),
    Gt: ("greater than", 0),
    Le: ("less than or equal to", 1),
    Lt: ("less than", 0),
}
FOREIGN = {
    str: (3, ("valid string",)),
    bool: ("yes", ("write true or false",)),
    date: ("yesterday", ("write 2020-01-31",)),
}


@dataclass(frozen=True)
class Declared:
    """A type without its wrappings: what is declared of its values, and whether null is one."""

    kind: Any
    bounds: dict[type, Any]
    optional: bool = False

    @property
    def models(self) -> list[type[BaseModel]]:
        """Models of a section; several where its `kind` tells them apart."""
        kinds = get_args(self.kind) if get_origin(self.kind) in (Union, UnionType) else (self.kind,)
        return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]

    @property
    def tagged(self) -> bool:
        return len(self.models) > 1


def declared(kind: Any, metadata: tuple[Any, ...] = ()) -> Declared:
    if get_origin(kind) is Annotated:
        kind, *more = get_args(kind)
        return declared(kind, (*metadata, *more))
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else ()
    if NoneType in kinds:
        (rest,) = [one for one in kinds if one is not NoneType] if len(kinds) == 2 else [Union[kinds[:-1]]]  # noqa: UP007
        return Declared(declared(rest, metadata).kind, declared(rest, metadata).bounds, optional=True)
    flat = [part for one in metadata for part in (one.metadata if isinstance(one, FieldInfo) else [one])]
    edges = {Ge: "ge", Gt: "gt", Le: "le", Lt: "lt", MinLen: "min_length", MaxLen: "max_length"}
    return Declared(kind, {type(one): getattr(one, edges[type(one)]) for one in flat if type(one) in edges})


def field_of(model: type[BaseModel], name: str) -> Declared:
    field = model.model_fields[name]
    return declared(field.annotation, tuple(field.metadata))


def keys(model: type[BaseModel]) -> dict[str, str]:
    """The name of each field by the key that it has in params.yaml."""
    return {field.alias or name: name for name, field in model.model_fields.items()}


def tags(model: type[BaseModel]) -> tuple[str, ...]:
    return get_args(model.model_fields["kind"].annotation)


def example(what: Declared) -> Any:
    """A value within what is declared; sections hold what they must alone."""
    if what.models:
        (model, *_), least = what.models, {}
        for key, name in keys(model).items():
            if model.model_fields[name].is_required() or (name == "kind" and what.tagged):
                least[key] = example(field_of(model, name))
        return least
    origin, arguments = get_origin(what.kind), get_args(what.kind)
    if origin is Literal:
        return arguments[0]
    if origin is tuple:
        return [example(declared(arguments[0]))] * max(what.bounds.get(MinLen, 1), len(set(arguments) - {...}), 1)
    if origin in MAPPINGS:
        return {f"{ENTRY}{n}": example(declared(arguments[1])) for n in range(what.bounds.get(MinLen, 0))}
    if what.kind in (int, float):
        low = what.bounds.get(Ge, what.bounds.get(Gt, 0))
        high = what.bounds.get(Le, what.bounds.get(Lt, low + 2))
        return low + 1 if what.kind is int else (low + high) / 2
    return {str: "own/file.py:Name", bool: False, date: "2020-01-31"}[what.kind]


def found(tree: Any, path: Path) -> Any:
    for key in path:
        tree = tree.get(key) if isinstance(tree, dict) else tree[key]
        if tree is None:
            return None
    return tree


def put(tree: Any, path: Path, value: Any) -> Any:
    """A copy with something else, or for ABSENT nothing, at a place."""
    if not path:
        return value
    tree = copy.copy(tree)
    if value is ABSENT and len(path) == 1:
        del tree[path[0]]
    else:
        tree[path[0]] = put(tree[path[0]] if len(path) > 1 else None, path[1:], value)
    return tree


@dataclass(frozen=True)
class Case:
    """A section with one wrong value, and what its refusal must name and say."""

    section: str
    values: Any
    place: Path
    remedies: tuple[str, ...]

    def complaint(self) -> str | None:
        """What is amiss with the refusal."""
        name = ".".join(map(str, (self.section, *self.place)))
        try:
            parse_section(self.section, self.values)
        except ConfigError as error:
            message = str(error)
            right = message.startswith("params: ") and "\n" not in message and f"'{name}'" in message
            return None if right and all(part in message for part in self.remedies) else f"{name}: {message}"
        return f"{name}: {found(self.values, self.place)!r} is not refused"


def wrong(what: Declared) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """Values just outside what is declared, or of another type, each with its remedy."""
    origin, arguments = get_origin(what.kind), get_args(what.kind)
    if not what.optional and not what.tagged:
        yield None, ()
    if what.tagged:
        yield {"kind": "nonsense"}, ("needs a kind", *(f"'{tag}'" for model in what.models for tag in tags(model)))
        yield {}, ("needs a kind", "see the models")
    elif what.models or origin in MAPPINGS:
        yield "text", ("valid dictionary",)
        if what.bounds.get(MinLen):
            yield {}, (f"at least {what.bounds[MinLen]}",)
    elif origin is tuple:
        yield "text", ("write [a, b]",)
        one = example(declared(arguments[0]))
        if what.bounds.get(MinLen):
            yield [one] * (what.bounds[MinLen] - 1), (f"at least {what.bounds[MinLen]}",)
        if what.bounds.get(MaxLen):
            yield [one] * (what.bounds[MaxLen] + 1), (f"at most {what.bounds[MaxLen]}",)
    elif origin is Literal:
        yield "nonsense", tuple(map(repr, arguments))
    elif what.kind in (int, float):
        yield "1e-4", (NUMBER,)
        yield True, ("valid integer" if what.kind is int else "valid number", "got True")
        for bound, edge in what.bounds.items():
            word, way = BEYOND[bound]
            beyond = edge + way if what.kind is int else math.nextafter(edge, way * math.inf)
            yield beyond if way else edge, (f"{word} {edge:g}",)
        if what.kind is int:
            yield 1.5, ("valid integer", "got 1.5")
        else:
            yield math.nan, ("finite",)
    else:
        yield FOREIGN[what.kind]


def cases(section: str, base: Any, path: Path, what: Declared, seen: set[tuple[str, str]]) -> Iterator[Case]:
    """Every wrong value at and below a place; fields that are met go into `seen`, by the name of their model."""
    if found(base, path) is None:
        base = put(base, path, example(what))
    for value, remedies in wrong(what):
        if section != "arms" or path:
            yield Case(section, put(base, path, value), path, remedies)
    for model in what.models:
        for tag in tags(model) if what.tagged else (None,):
            mine = base
            if tag is not None and found(base, path).get("kind") != tag:
                mine = put(base, path, example(Declared(model, {})) | {"kind": tag})
            if model.model_config.get("extra") == "forbid":
                yield Case(section, put(mine, (*path, "nonsense"), 1), (*path, "nonsense"), (KEY,))
            for key, name in keys(model).items():
                field = model.model_fields[name]
                seen.add((model.__name__, key))
                if name == "kind" and what.tagged:
                    continue
                if field.is_required():
                    yield Case(section, put(mine, (*path, key), ABSENT), (*path, key), (MISSING,))
                yield from cases(section, mine, (*path, key), field_of(model, name), seen)
    origin, arguments = get_origin(what.kind), get_args(what.kind)
    if origin in MAPPINGS:
        more = found(base, path) | {ENTRY: example(declared(arguments[1]))}
        yield from cases(section, put(base, path, more), (*path, ENTRY), declared(arguments[1]), seen)
    elif origin is tuple:
        yield from cases(section, base, (*path, 0), declared(arguments[0]), seen)


def all_cases(section: str) -> tuple[list[Case], set[tuple[str, str]]]:
    model, values, seen = section_model(section), read_yaml(ROOT / "params.yaml")[section], set()
    # The arms are a section without a name of its own.
    what = field_of(model, "arms") if section == "arms" else Declared(model, {})
    return list(cases(section, values, (), what, seen)), seen


@pytest.mark.parametrize("section", SECTIONS)
def test_what_is_not_declared_is_refused(section):
    found_cases, _ = all_cases(section)
    assert len(found_cases) > len(section_model(section).model_fields)
    assert [complaint for case in found_cases if (complaint := case.complaint())] == []


@pytest.mark.parametrize("section", SECTIONS)
def test_every_field_is_tried(section):
    """The schema that pydantic makes of a section names the same fields of the same models."""
    schema = section_model(section).model_json_schema()
    parts = schema.get("$defs", {}) | {schema["title"]: schema}
    known = {(name, field) for name, part in parts.items() for field in part.get("properties", ())}
    assert all_cases(section)[1] == known - {("Arms", "arms")}


@pytest.mark.parametrize("section", SECTIONS)
def test_a_value_that_is_let_through_is_noticed(section, monkeypatch):
    monkeypatch.setattr(reading, "_validate", lambda model, value, where: model.model_construct(**value))
    found_cases, _ = all_cases(section)
    assert all("is not refused" in str(case.complaint()) for case in found_cases if isinstance(case.values, dict))
