"""A signal or a rule of the user's: copied into a study's folder `own/`, under a name that params.yaml can give."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

from sizewise.base.errors import ConfigError

FOLDER = "own"
# Where a signal is a plain function of bars, this class is written below it.
WRAPPED = '''

# Added by `sizewise study`: the function as the class that params.yaml names.
import sizewise as _sizewise  # noqa: E402


class {name}(_sizewise.Signal):
    """`{function}` of this file."""

    def direction(self, bars, days):
        return {function}(bars)
'''


@dataclass(frozen=True)
class OwnCode:
    """A file of the user's that is copied, and what params.yaml says of it.

    Attributes:
        text: what the copy holds. file: its name in the folder. target: the class in it.
    """

    text: str
    file: str
    target: str

    @property
    def place(self) -> str:
        """As params.yaml names it: `own/file.py:Name`."""
        return f"{FOLDER}/{self.file}:{self.target}"

    @property
    def arm(self) -> str:
        """The class's name as the name of an arm: `MyRule` is my_rule."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", self.target).lower()


def own_rule(given: str) -> OwnCode:
    """The sizing rule at `file.py:Class`.

    Raises:
        ConfigError: no such file, no Python, or no such class.
    """
    path, name, kind = _found(given, "--rule")
    if kind is not ast.ClassDef:
        raise ConfigError(f"--rule {given}: '{name}' is a function: a rule is a class derived from sizewise.Rule")
    return OwnCode(path.read_text(encoding="utf-8"), path.name, name)


def own_signal(given: str) -> OwnCode:
    """The signal at `file.py:Class`, or `file.py:function`, which is given the bars and returns one side a bar.

    Raises:
        ConfigError: no such file, no Python, or neither a class nor a function of that name.
    """
    path, name, kind = _found(given, "--signal")
    text = path.read_text(encoding="utf-8")
    if kind is ast.ClassDef:
        return OwnCode(text, path.name, name)
    named = "".join(part.capitalize() for part in name.split("_"))
    # Another name than the function's own, and no `SignalSignal`.
    target = f"Own{named}" if named.endswith("Signal") else f"{named}Signal"
    return OwnCode(text.rstrip() + "\n" + WRAPPED.format(name=target, function=name), path.name, target)


def _found(given: str, option: str) -> tuple[Path, str, type[ast.stmt]]:
    """The file that an option names, the name in it, and whether that is a class or a function."""
    where, colon, name = given.rpartition(":")
    if not colon or not where.endswith(".py") or not name.isidentifier():
        raise ConfigError(f"{option} {given}: write file.py:Name")
    path = Path(where)
    if not path.is_file():
        raise ConfigError(f"{option} {given}: there is no file {where}: write it, or mend its name")
    try:
        body = ast.parse(path.read_text(encoding="utf-8")).body
    except (SyntaxError, UnicodeDecodeError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise ConfigError(f"{option} {given}: {path.name} is no valid Python{line}: mend it") from None
    for node in body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == name:
            return path, name, type(node)
    raise ConfigError(f"{option} {given}: {path.name} has no class or function '{name}': mend the name")
