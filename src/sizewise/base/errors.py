"""Typed errors, and how a command ends on one. Each message names what is wrong, where, and what to do about it."""

import errno
import sys
from collections.abc import Callable
from pathlib import Path


class SizewiseError(Exception):
    """Base of every error a user can cause; the command line prints it as one line and exits with 2."""


class ConfigError(SizewiseError):
    """A parameter is unknown, missing, of a wrong type or out of range."""


class DataMissingError(SizewiseError):
    """A file that a step needs is not there."""


class WriteError(SizewiseError):
    """A folder that a step writes into cannot be written."""


class BarError(SizewiseError):
    """Bars violate the schema, their order, or what a price can be."""


class DownloadError(SizewiseError):
    """A source of bars did not give what was asked of it, or gave what cannot be trusted."""


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
# No right to a file, or a file system that cannot be written: the checkout's place, and no fault of the program.
NO_ACCESS = (errno.EACCES, errno.EPERM, errno.EROFS)


def access_error(error: OSError) -> WriteError | None:
    """What to say of a file that the system does not let us touch; None for any other error of the system."""
    if error.errno not in NO_ACCESS or not isinstance(error.filename, str):
        return None
    folder = Path(error.filename).parent
    reason = f"{error.filename} cannot be used ({error.strerror})"
    return WriteError(f"{reason}: give yourself the right to read and write in {folder}, or work in a copy")


def exit_status(action: Callable[[], object]) -> int:
    """Run a command's work; a typed error becomes one line on standard error, without a traceback."""
    try:
        action()
    except (SizewiseError, OSError) as error:
        said = access_error(error) if isinstance(error, OSError) else error
        if said is None:
            raise
        print(f"sizewise: {said}", file=sys.stderr)
        return REFUSED
    return 0
