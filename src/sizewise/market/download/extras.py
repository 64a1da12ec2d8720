"""Optional libraries, and what to install where one is missing."""

from importlib import import_module
from types import ModuleType

from sizewise.base.errors import DownloadError


def optional(name: str) -> ModuleType:
    """The library `name`, which is an extra of this package of the same name.

    Raises:
        DownloadError: it is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise DownloadError(
            f"{error.name} is not installed: run `pip install -c constraints.txt -e '.[{name}]'` in the checkout"
        ) from None
