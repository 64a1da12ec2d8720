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
from sizewise.base.paths import Workspace, write_json
from sizewise.dataset.own_signal import open_own_signal
from sizewise.params.arms import CustomArm, CustomScheme
from sizewise.params.dataset.signals import CustomSignal
from sizewise.params.own_class import class_source
from sizewise.params.reading import parse_section, read_params
from sizewise.params.stage import ARMS_FOLDER, all_stages, used_arms
from sizewise.sizing.own import open_own, open_own_scheme, own_of

# Stages that find signals in bars depend on it.
SIGNAL_FILE = f"{ARMS_FOLDER}/signals.json"


def write_arms(profile: str = "full") -> None:
    """Write a file of arms for every stage that depends on one: their entries, and the source of those of one's own.

    Beside them a file of the source of the signal, where it is one's own.

    Raises:
        ConfigError: an arm or the signal names a class that cannot be opened with its parameters.
    """
    workspace = Workspace.open(profile)
    values = read_params(workspace.root, profile)
    sources, signal = own_sources(values)
    write_json(workspace.base / SIGNAL_FILE, {"source": signal})
    for stage, declared in all_stages(workspace.root).items():
        file = f"{ARMS_FOLDER}/{stage}.json"
        if file in declared.get("deps", ()):
            used = used_arms(stage, values)
            held = {"arms": used, "sources": {name: sources[name] for name in used if name in sources}}
            write_json(workspace.base / file, held)


def own_sources(values: Mapping[str, Any]) -> tuple[dict[str, str], str | None]:
    """Hashes of the files of arms of one's own, by arm, and of a signal of one's own, each once it is opened.

    Args:
        values: raw sections.
    Raises:
        ConfigError: an arm or the signal names a class that cannot be opened with its parameters.
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
    return sources, _signal_source(values["signals"])


def _signal_source(section: Any) -> str | None:
    """Hash of the file of a signal of one's own, once it is opened; None where the signal is a bundled one."""
    family = parse_section("signals", section).family
    if not isinstance(family, CustomSignal):
        return None
    open_own_signal(family)
    return content_hash(text_bytes(class_source(family.class_)))


def main(argv: list[str] | None = None) -> int:
    """`python -m sizewise.walkforward.arms`: what dvc.yaml calls. Exit status 2 and one line on an error."""
    parser = argparse.ArgumentParser(prog="python -m sizewise.walkforward.arms", description=__doc__)
    parser.add_argument("--profile", default="full", help="parameters to overlay: tests/<profile>.yaml")
    return exit_status(lambda: write_arms(parser.parse_args(argv).profile))


if __name__ == "__main__":
    sys.exit(main())
