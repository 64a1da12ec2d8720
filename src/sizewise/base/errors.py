"""Typed errors, and how a command ends on one. Each message names what is wrong, where, and what to do about it."""

import sys
from collections.abc import Callable


class SizewiseError(Exception):
    """Base of every error a user can cause; the command line prints it as one line and exits with 2."""


class ConfigError(SizewiseError):
    """A parameter is unknown, missing, of a wrong type or out of range."""


class DataMissingError(SizewiseError):
    """A file that a step needs is not there."""


class BarError(SizewiseError):
    """Bars violate the schema, their order, or what a price can be."""


class InstrumentError(SizewiseError):
    """A symbol has no usable entry in instruments.yaml."""


class ActionError(SizewiseError):
    """An action lies outside its scheme's space."""


class CheckpointError(SizewiseError):
    """A checkpoint is unreadable, or was made for another observation or action space."""


class LedgerError(SizewiseError):
    """A ledger does not add up, or two ledgers cannot be compared."""


class DecisionError(SizewiseError):
    """A close names a decision or a lot that is not open, or closes more than is."""


class TrainingError(SizewiseError):
    """Training produced a value that no update can be made from."""


REFUSED = 2


def exit_status(action: Callable[[], object]) -> int:
    """Run a command's work; a typed error becomes one line on standard error, without a traceback."""
    try:
        action()
    except SizewiseError as error:
        print(f"sizewise: {error}", file=sys.stderr)
        return REFUSED
    return 0
