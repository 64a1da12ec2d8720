"""Commands about bars."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sizewise.base.errors import ConfigError
from sizewise.base.paths import project_root
from sizewise.cli.app import app
from sizewise.cli.given import Profile

if TYPE_CHECKING:
    import pandas as pd


@app.command()
def check(
    bars: Annotated[list[Path] | None, typer.Argument(metavar="BARS", help="parquet files of bars")] = None,
    causality: Annotated[
        str | None,
        typer.Option(
            metavar="[MODULE:FUNCTION]",
            help="whether a function of bars looks ahead, such as my_features.py:compute (without one: the project's "
            "features, regimes, signals and slices, yours among them), on the files given or the first symbol's",
        ),
    ] = None,
    cut: Annotated[
        list[int] | None,
        typer.Option(min=1, metavar="ROW", help="with --causality: a row to cut at; repeat for several (default: 7)"),
    ] = None,
    profile: Profile = "full",
) -> None:
    """Say in one table what will be used of the bars and why; or validate the files given; or find what looks ahead.

    Exit status 2, and one line on why, where a run would be refused.
    """
    from sizewise.market.bars import load_bars

    if causality is not None:
        _check_causality(causality, bars, cut)
        return
    if cut:
        raise ConfigError("--cut is a row at which --causality cuts: give both")
    if bars:
        for path in bars:
            _say_ok(path.name, load_bars(path))
        return
    _check_project(profile)


def _check_project(profile: str) -> None:
    from sizewise.projects.checking import check_project

    found = check_project(project_root(), profile)
    print("\n".join(found.lines()))
    if found.refused is not None:
        raise ConfigError(found.refused)


def _say_ok(name: str, bars: "pd.DataFrame") -> None:
    print(f"{name}: {len(bars)} bars, {bars.index[0]:%Y-%m-%d} to {bars.index[-1]:%Y-%m-%d}: ok")


def _check_causality(target: str, paths: list[Path] | None, cut: list[int] | None) -> None:
    from sizewise.causality import check_functions, decided_elsewhere, load_function, own_parts
    from sizewise.market.catalogue import bars_path, read_catalogue
    from sizewise.params.reading import parse_params, parse_section, read_params

    if target:
        functions = {target: load_function(target)}
    else:
        root = project_root()
        params = parse_params(read_params(root))
        functions, unchecked = own_parts(params, read_catalogue(root)), decided_elsewhere(params)
        if unchecked is not None:
            print(unchecked)
    if not paths:
        root = project_root()
        data = parse_section("data", read_params(root)["data"])
        paths = [bars_path(root, data.symbols[0])]
    for line in check_functions(functions, paths, cut):
        print(line)
