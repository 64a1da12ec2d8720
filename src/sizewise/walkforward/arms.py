"""The arms stage: every class of one's own opened and checked, and for each stage a file of the arms that it uses.

`python -m sizewise.walkforward.arms` writes artifacts/arms/<stage>.json. DVC reads the files alone: an arm that is changed
or added runs those stages again that use it, and no others.
"""

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from sizewise.base.errors import exit_status
from sizewise.base.hashing import content_hash, text_bytes
from sizewise.base.paths import Workspace, project_root, require, write_json
from sizewise.dataset.features import own_names
from sizewise.dataset.own.signal import open_own_signal
from sizewise.dataset.own.trades import read_trades
from sizewise.market.catalogue import bars_path, missing_remedy
from sizewise.params.arms import CustomArm, CustomScheme
from sizewise.params.dataset.signals import CustomSignal, Signals, TradesFile
from sizewise.params.own_class import class_source
from sizewise.params.reading import parse_section, read_params
from sizewise.params.stage import ARMS_FOLDER, SIGNAL_FILE, all_stages, used_arms
from sizewise.sizing.own import open_own, open_own_scheme, own_of


def write_arms(profile: str = "full") -> None:
    """Write a file of arms for every stage that depends on one: their entries, and the source of those of one's own.

    Beside them a file of the sources of signal and features, and of the signal's name, where they are one's own.

    Raises:
        ConfigError: an arm, the signal or features name a class that cannot be opened with its parameters; or the signal's
            file is no file of trades.
        DataMissingError: there is no such file, or no bars of a symbol.
    """
    workspace = Workspace.open(profile)
    values = read_params(workspace.root, profile)
    # The first stage of every run: DVC would say that data are missing, and not what to do.
    for symbol in parse_section("data", values["data"]).symbols:
        bars = bars_path(workspace.root, symbol)
        require(bars, missing_remedy(bars))
    sources, signal = own_sources(values)
    write_json(workspace.base / SIGNAL_FILE, signal)
    for stage, declared in all_stages(workspace.root).items():
        file = f"{ARMS_FOLDER}/{stage}.json"
        if file in declared.get("deps", ()):
            used = used_arms(stage, values)
            held = {"arms": used, "sources": {name: sources[name] for name in used if name in sources}}
            write_json(workspace.base / file, held)


def own_sources(values: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str | None]]:
    """Hashes of the files of arms of one's own, by arm, and what SIGNAL_FILE holds, each once it is opened; see write_arms.

    Args:
        values: raw sections.
    """
    sources = {}
    for name, arm in parse_section("arms", values["arms"]).items():
        if isinstance(arm, CustomArm):
            open_own(name, arm)
        own = own_of(arm)
        if own is not None:
            if isinstance(own, CustomScheme):
                open_own_scheme(own)
            sources[name] = content_hash(text_bytes(class_source(own.class_)))
    return sources, _sources(values)


def _sources(values: Mapping[str, Any]) -> dict[str, str | None]:
    """`source`: hash of the file of a signal of one's own, once it is opened, None without one; with one its `name`, and
    `features`, hash of the file of features of one's own, where there are any."""
    signals: Signals = parse_section("signals", values["signals"])
    own = parse_section("observation", values["observation"]).own
    found: dict[str, str | None] = {"source": _signal_source(signals)}
    if signals.own_name is not None:
        found["name"] = signals.own_name
    own_names(own)
    if own is not None and own.class_ is not None:
        found["features"] = content_hash(text_bytes(class_source(own.class_)))
    return found


def _signal_source(signals: Signals) -> str | None:
    match signals.family:
        case CustomSignal() as family:
            open_own_signal(family)
            return content_hash(text_bytes(class_source(family.class_)))
        case TradesFile(file=file):
            read_trades(file)
            return content_hash((project_root() / file).read_bytes())
        case _:
            return None


def main(argv: list[str] | None = None) -> int:
    """`python -m sizewise.walkforward.arms`: what dvc.yaml calls. Exit status 2 and one line on an error."""
    parser = argparse.ArgumentParser(prog="python -m sizewise.walkforward.arms", description=__doc__)
    parser.add_argument("--profile", default="full", help="parameters to overlay: tests/<profile>.yaml")
    return exit_status(lambda: write_arms(parser.parse_args(argv).profile))


if __name__ == "__main__":
    sys.exit(main())
