"""Commands about speed."""

import json
from typing import Annotated

import typer

from sizewise.base.paths import Workspace, require_writable, write_json
from sizewise.cli.app import app


@app.command()
def bench(
    peers: Annotated[
        bool, typer.Option("--peers", help="time Stable-Baselines3 in the same run, if installed")
    ] = False,
    rounds: Annotated[int, typer.Option(min=1, help="interleaved rounds; medians are reported")] = 3,
) -> None:
    """Time environment and training, and write metrics/bench.json."""
    from sizewise.bench.run import run_bench

    metrics = require_writable(Workspace.open().metrics)
    record = run_bench(peers=peers, rounds=rounds)
    write_json(metrics / "bench.json", record)
    print(json.dumps(record, indent=2))
