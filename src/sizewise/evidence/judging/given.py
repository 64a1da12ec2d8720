"""What the user said of each curve: one answer for all, or one by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from sizewise.base.errors import ConfigError

KINDS = ("equity", "returns", "percent")


@dataclass(frozen=True)
class Given:
    """Answers about one curve; None where nothing was said.

    Attributes:
        equity: what the account started with, its own currency. kind: what its values are, one of KINDS: equity, returns
            in fractions, or returns in per cent. currency: a code. timezone: of times that name none.
    """

    equity: float | None = None
    kind: str | None = None
    currency: str | None = None
    timezone: str | None = None


def answers(names: Sequence[str], **said: Any) -> dict[str, Given]:
    """The answers by curve.

    Args:
        said: by field of Given one value for all curves, a mapping from name to value, or None.
    Raises:
        ConfigError: a name that is no curve, or a value that is none of its field.
    """
    found: dict[str, dict[str, Any]] = {name: {} for name in names}
    for option, value in said.items():
        by_name = value if isinstance(value, Mapping) else dict.fromkeys(names, value)
        for name, own in by_name.items():
            if name not in found:
                raise ConfigError(f"{option} is said of '{name}', which is no curve: name one of {', '.join(names)}")
            if own is not None:
                found[name][option] = _CHECKS[option](option, name, own)
    return {name: Given(**own) for name, own in found.items()}


def _amount(option: str, name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if isinstance(value, bool) or not 0.0 < number < float("inf"):
        raise ConfigError(f"{option} of {name} is {value!r}: give what the account started with, a number above 0")
    return number


def _kind(option: str, name: str, value: Any) -> str:
    if value not in KINDS:
        raise ConfigError(f"{option} of {name} is {value!r}: say one of {', '.join(KINDS)}")
    return str(value)


def _code(option: str, name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.isalnum():
        raise ConfigError(f"{option} of {name} is {value!r}: give a code such as USD")
    return value.upper()


def _zone(option: str, name: str, value: Any) -> str:
    try:
        ZoneInfo(value)
    except (TypeError, ValueError, OSError, KeyError):
        raise ConfigError(f"{option} of {name} is {value!r}: give a zone such as UTC or America/New_York") from None
    return str(value)


_CHECKS = {"equity": _amount, "kind": _kind, "currency": _code, "timezone": _zone}
