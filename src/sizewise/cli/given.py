"""What several commands are given: numbers, and a profile with its folders."""

import math
from typing import Annotated

import typer

from sizewise.base.errors import DataMissingError
from sizewise.base.paths import Workspace


def finite(text: str) -> float:
    """A number that is finite, as an option is parsed."""
    try:
        value = float(text)
    except ValueError:
        raise typer.BadParameter(f"'{text}' is not a number") from None
    if not math.isfinite(value):
        raise typer.BadParameter(f"{text} is not finite")
    return value


def positive(text: str) -> float:
    """A finite number above 0."""
    value = finite(text)
    if value <= 0.0:
        raise typer.BadParameter(f"{text} is not above 0")
    return value


Profile = Annotated[str, typer.Option(help="full, or the name of a folder in build/")]


def workspace_of(profile: str) -> Workspace:
    """The folders of a profile that has run."""
    workspace = Workspace.open(profile)
    if not workspace.base.is_dir():
        raise DataMissingError(f"build/{profile} is missing: there is no such profile, or it has not run")
    return workspace
