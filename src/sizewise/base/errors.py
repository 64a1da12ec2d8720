"""Typed errors, and how a command ends on one. Each message names what is wrong, where, and what to do about it."""

import errno
import os
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
# What a shell says of a command that Ctrl-C ended.
INTERRUPTED = 130
# No right to a file, or a file system that cannot be written: the checkout's place, and no fault of the program.
NO_ACCESS = (errno.EACCES, errno.EPERM, errno.EROFS)
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
SPACE_REMEDY = (
    "free some (`df -h .` says how much there is), then run the same command again: what was finished is kept"
)


def system_error(error: OSError) -> WriteError | None:
    """What to say where a file may not be touched, or its disk is full; None for any other error of the system."""
    if error.errno in NO_SPACE:
        return WriteError(f"no space is left on the disk: {SPACE_REMEDY}")
    if error.errno not in NO_ACCESS or not isinstance(error.filename, str):
        return None
    folder = Path(error.filename).parent
    reason = f"{error.filename} cannot be used ({error.strerror})"
    return WriteError(f"{reason}: give yourself the right to read and write in {folder}, or work in a copy")


def space_remedy(reason: str) -> str:
    """What to add to an error that a library words: what to do where it tells of a full disk, nothing elsewhere."""
    full = any(os.strerror(number) in reason for number in NO_SPACE)
    return f": {SPACE_REMEDY}" if full else ""


def exit_status(action: Callable[[], object]) -> int:
    """Run a command's work; a typed error, or an interrupt, becomes one line on standard error, without a traceback."""
    try:
        action()
    except (SizewiseError, OSError) as error:
        said = system_error(error) if isinstance(error, OSError) else error
        if said is None:
            raise
        print(f"sizewise: {said}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        return interrupted()
    return 0


def interrupted() -> int:
    """Say that a command was interrupted, and how it goes on; its exit status."""
    print("sizewise: interrupted: run the same command again, it keeps what was finished", file=sys.stderr)
    return INTERRUPTED
