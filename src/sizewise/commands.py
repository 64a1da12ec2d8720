"""How a command ends: status 0, or one line on what is wrong and status 2."""

import sys
from collections.abc import Callable

from sizewise.errors import SizewiseError

REFUSED = 2


def exit_status(action: Callable[[], object]) -> int:
    """Run a command's work; a typed error becomes one line on standard error, without a traceback."""
    try:
        action()
    except SizewiseError as error:
        print(f"sizewise: {error}", file=sys.stderr)
        return REFUSED
    return 0
