"""Commands about speed."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from sizewise.base.errors import ConfigError
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


@app.command()
def profile(
    pipelines: Annotated[
        bool, typer.Option("--pipelines", help="run the main job and the studies again, whole, and look at every stage")
    ] = False,
) -> None:
    """Measure where time and memory go, and write metrics/profile.json: training part by part beside what the machine
    could do, how everything grows, and with --pipelines every stage."""
    from dataclasses import asdict

    from sizewise.base.paths import project_root
    from sizewise.bench import growth, parts
    from sizewise.bench import pipelines as stages
    from sizewise.bench.run import describe_machine, one_thread

    metrics = require_writable(Workspace.open().metrics)
    before = metrics / "profile.json"
    known = json.loads(before.read_bytes()) if before.is_file() else {}
    with one_thread():
        record = {"machine": describe_machine(), "floors": parts.floors(), "training": parts.trainings()}
    record |= {"growth": growth.growth(), "pipelines": known.get("pipelines", {})}
    write_json(before, record)
    if pipelines:
        # The studies stand on the main job, which is not run for them once more.
        for name, words in (("make reproduce", ("dvc.yaml",)), ("make studies", ("--single-item", "studies/dvc.yaml"))):
            taken = stages.watch(("dvc", "repro", "--force", *words), project_root())
            record["pipelines"][name] = {stage: asdict(one) for stage, one in taken.items()}
            # An hour's work: what comes after may fail.
            write_json(before, record)
    print(json.dumps(record, indent=2))


@app.command("gpu-check")
def gpu_check(
    device: Annotated[str, typer.Option(help="cuda, or cpu: the same parts, small, as a rehearsal")] = "cuda",
    out: Annotated[
        Path | None, typer.Option(help="the record; metrics/gpu.json, or build/gpu-rehearsal.json of a rehearsal")
    ] = None,
    minutes: Annotated[float, typer.Option(min=0.0, help="what has no time left in them is named and left out")] = 8.0,
) -> None:
    """Measure what PPO does on a GPU and whether it is what the CPU does, and draw it beside the record."""
    from sizewise.bench import gpu, gpu_figures, gpu_job

    opened, workspace = gpu.open_device(device), Workspace.open()
    measured = workspace.metrics / "gpu.json"
    path = out or (measured if opened.type == "cuda" else workspace.root / "build" / "gpu-rehearsal.json")
    if opened.type == "cpu" and path.resolve() == measured.resolve():
        raise ConfigError("metrics/gpu.json holds what a GPU does: give a rehearsal another --out")
    require_writable(path.parent)
    job, budget = gpu_job.open_job(), gpu.Budget(minutes)
    try:
        gpu.check(opened, path, budget, job=job.rehearsed() if job and opened.type == "cpu" else job)
    finally:
        if path.is_file():
            record = json.loads(path.read_bytes())
            gpu_figures.draw(record, path)
            print(json.dumps(record, indent=2))
