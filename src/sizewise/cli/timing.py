"""Commands about speed."""

import json
import sys
from typing import Annotated

import typer

from sizewise.base.paths import Workspace, require_writable, write_json
from sizewise.cli.app import app


@app.command()
def bench(
    peers: Annotated[
        bool, typer.Option("--peers", help="time other people's systems in the same run, see `make bench-peers`")
    ] = False,
    rounds: Annotated[int, typer.Option(min=1, help="interleaved rounds; medians are reported")] = 3,
) -> None:
    """Time environment and training, and write metrics/bench.json."""
    from sizewise.bench.run import run_bench

    metrics = require_writable(Workspace.open().metrics)
    record = run_bench(peers=peers, rounds=rounds)
    before = metrics / "bench.json"
    known = json.loads(before.read_bytes()) if before.is_file() else {}
    missing = record.get("peers", {}).get("missing", [])
    if missing:
        print(f"sizewise: not installed: {', '.join(missing)}: `make bench-peers` installs them", file=sys.stderr)
    if "peers" in known and ("peers" not in record or missing):
        # What was measured beside others stays, with the machine it was measured on: a ratio is of its own run.
        record["peers"] = {"machine": known["machine"], "method": known["method"], **known["peers"]}
    write_json(before, record)
    print(json.dumps(record, indent=2))
