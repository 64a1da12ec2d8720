"""The entry point of the command line, and how refusals are said."""

import sys
from collections.abc import Sequence

import typer

from sizewise.base.errors import INTERRUPTED, REFUSED, SizewiseError, interrupted, system_error
from sizewise.cli import account, downloading, importing, judging, market, results, studying, timing
from sizewise.cli.app import app

# Loading them registers their commands, in the order that the help lists them.
COMMANDS = (market, importing, downloading, studying, account, timing, results, judging)


def _one_value_each(arguments: Sequence[str]) -> list[str]:
    """Options as typer reads them, one value each: `--memory 1 2` repeats the option, `--causality` alone gets ""."""
    spread: list[str] = []
    option = ""
    for argument, after in zip(arguments, [*arguments[1:], "--"], strict=False):
        if argument.startswith("--"):
            option = argument
        elif option == "--memory" and spread[-1] != option:
            spread.append(option)
        spread.append(argument)
        if argument == "--causality" and after.startswith("--"):
            spread.append("")
    return spread


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the `sizewise` command."""
    arguments = _one_value_each(sys.argv[1:] if argv is None else argv)
    try:
        status = int(app(arguments, prog_name="sizewise", standalone_mode=False) or 0)
    except (SizewiseError, OSError) as error:
        said = system_error(error) if isinstance(error, OSError) else error
        if said is None:
            raise
        print(f"sizewise: {said}", file=sys.stderr)
        return REFUSED
    except typer.TyperException as error:
        place = getattr(getattr(error, "ctx", None), "command_path", "sizewise")
        print(f"sizewise: {error.format_message().removesuffix('.')}: see `{place} --help`", file=sys.stderr)
        return REFUSED
    # What typer makes of an interrupt.
    return interrupted() if status == INTERRUPTED else status


if __name__ == "__main__":
    sys.exit(main())
