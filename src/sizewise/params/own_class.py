"""Classes of one's own that params.yaml names: found, loaded and held to their base."""

import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import ValidationError

from sizewise.base.errors import ConfigError
from sizewise.base.paths import project_root


def class_source(path: str) -> Path:
    """The file that a class, written `own/file.py:Name` or `package.module:Name`, stands in."""
    where = path.rpartition(":")[0]
    if where.endswith(".py"):
        return project_root() / where
    return Path(str(import_module(where).__file__))


def own_class(place: str, path: str, wanted_kind: Any, said: str) -> Any:
    """The class at `path`, which must derive from `wanted_kind`.

    Args:
        place: where it is named, for messages. said: what it is to be, in words.
    Raises:
        ConfigError: it cannot be imported, or is nothing of the kind.
    """
    where, _, wanted = path.rpartition(":")
    try:
        module = _file_module(where) if where.endswith(".py") else import_module(where)
    except FileNotFoundError:
        raise ConfigError(f"{place}: there is no file {where}: write it, or mend `class`") from None
    # What a reader's own file may raise while it loads is anything.
    except Exception as error:  # noqa: BLE001
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"{place}: {where} cannot be imported ({type(error).__name__}: {reason}): mend it, or `class`"
        ) from None
    own = getattr(module, wanted, None)
    if own is None:
        raise ConfigError(f"{place}: {where} has no class '{wanted}': mend `class`, written file.py:Name")
    if not (isinstance(own, type) and issubclass(own, wanted_kind)):
        neither = "neither a" if " nor " in said else "no"
        raise ConfigError(f"{place}: {path} is {neither} {said}: derive it from one")
    return own


def own_instance(place: str, path: str, wanted_kind: Any, said: str, values: Mapping[str, Any]) -> Any:
    """One of the class at `path`, a `Section` with these fields; see own_class.

    Raises:
        ConfigError: there is no such class, it leaves out what its base asks, or a field is refused.
    """
    own = own_class(place, path, wanted_kind, said)
    try:
        # The constructor would say it without the place in params.yaml.
        own.model_validate(values)
        return own(**values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(
            f"{place}: {path} refuses '{key}': {first['msg']}: mend the value, or the field of the class"
        ) from None
    except TypeError as error:
        raise ConfigError(f"{place}: {path} cannot be made ({error}): give it what its base class asks") from None


def _file_module(where: str) -> ModuleType:
    file = project_root() / where
    if not file.is_file():
        raise FileNotFoundError(where)
    loader = SourceFileLoader(f"sizewise_own_{file.stem}", str(file))
    module = ModuleType(loader.name)
    module.__file__ = str(file)
    # Fields whose types are written as text are looked up in the module's own names.
    sys.modules[loader.name] = module
    loader.exec_module(module)
    return module
