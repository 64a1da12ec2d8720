"""Commands about what a run found."""

from pathlib import Path
from typing import Annotated

import typer

from sizewise.base.paths import project_root, require_writable
from sizewise.cli.app import app
from sizewise.cli.given import Profile, workspace_of


@app.command()
def report(profile: Profile = "full") -> None:
    """Print the verdict and where the reports are."""
    from sizewise.evidence.verdict import read_record, verdict_sentence
    from sizewise.params.reading import parse_section
    from sizewise.params.stage import stage_params
    from sizewise.reports.page.failed import stale_sentences

    workspace = workspace_of(profile)
    record = read_record(workspace.metrics / "verdict.json")
    plan = parse_section("plan", stage_params(workspace.root, "compare", profile)["plan"])
    print(verdict_sentence(record, plan.candidate, plan.reference, plan.alpha))
    for said in stale_sentences(workspace):
        print(said)
    print(f"Read on: {(workspace.reports / 'index.html').relative_to(workspace.root)}")


@app.command()
def stages() -> None:
    """List the stages of both pipelines, each after those that it waits for."""
    from sizewise.reports.stages import table

    print("\n".join(table(project_root())))


@app.command()
def trials(profile: Profile = "full") -> None:
    """List every out-of-sample evaluation ever recorded, and apart from them the reruns with other digits."""
    from sizewise.ledgers.reruns import read_reruns
    from sizewise.ledgers.trials import OPENING, chain_sentence, count_trials, read_ledger, refusal, seal_sentence
    from sizewise.params.reading import parse_section
    from sizewise.params.stage import dated_params

    workspace = workspace_of(profile)
    splits = parse_section("splits", dated_params(workspace.root, profile)["splits"])
    ledger = read_ledger(workspace.trials)
    if ledger.breach:
        raise refusal(workspace.trials, ledger.breach)
    for trial in ledger.trials:
        if trial["kind"] == OPENING:
            print(f"{trial['id']}  opening {trial['number']} of the sealed slice {trial['start']} to {trial['end']}")
        else:
            print(f"{trial['id']}  {trial['arm']:14} fold {trial['fold']}  {trial['growth_bps_per_day']:+9.4f} bps/day")
    print(f"{len(ledger.trials)} lines, {count_trials(ledger.trials)} configurations")
    print(chain_sentence(ledger))
    print(seal_sentence(ledger.trials, splits))
    reruns = read_reruns(workspace.trials)
    for rerun in reruns:
        growth = f"{rerun['growth_bps_per_day']:+9.4f} bps/day, recorded {rerun['recorded_bps_per_day']:+9.4f}"
        print(f"rerun             {rerun['arm']:14} fold {rerun['fold']}  {growth}")
    print(f"{len(reruns)} reruns with other digits: no trials")


@app.command()
def verdicts(
    changed: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="record the last run's verdict, and what changed since the one before"),
    ] = None,
    profile: Profile = "full",
) -> None:
    """List every verdict so far, what changed each time, and the last run's."""
    from datetime import UTC, datetime

    from sizewise.evidence.history import add_verdict, history_sentence, history_table, read_history
    from sizewise.evidence.verdict import read_record

    workspace = workspace_of(profile)
    record = read_record(workspace.metrics / "verdict.json")
    if changed is not None:
        add_verdict(workspace.verdicts, record, date=f"{datetime.now(UTC):%Y-%m-%d}", changed=changed)
    rows = read_history(workspace.verdicts)
    for row in history_table(rows, record).to_dict("records"):
        when = f"{row['date']:10}  {row['commit']:8}"
        figures = (
            f"{row['effect (bps a day)']:+.2f} bps a day, p = {row['p']:.3f}, {row['days']} days, {row['seeds']} seeds"
        )
        print(f"{when}  {row['verdict']:12}  {figures}: {row['what changed']}")
    print(history_sentence(rows))


@app.command()
def unseal(
    yes: Annotated[bool, typer.Option("--yes", help="open it; without this only say what would be done")] = False,
    again: Annotated[
        bool, typer.Option("--again", help="open a slice that was opened before; every report says so")
    ] = False,
    profile: Profile = "full",
) -> None:
    """Evaluate candidate and reference on the sealed slice, and record that it was opened."""
    from sizewise.evidence.verdict import verdict_sentence
    from sizewise.params.reading import parse_params
    from sizewise.params.stage import dated_params
    from sizewise.walkforward import unsealing

    workspace = workspace_of(profile)
    params = parse_params(dated_params(workspace.root, profile))
    given = unsealing.prepare(workspace, params)
    print(unsealing.intention(given))
    if not yes:
        print("Nothing was opened: add --yes to open it.")
        return
    for folder in (given.folder, workspace.base):
        require_writable(folder)
    record = unsealing.unseal(given, again=again)
    print(f"Opening {record['opening']} is recorded.")
    print(verdict_sentence(record, params.plan.candidate, params.plan.reference, params.plan.alpha))


@app.command()
def verify(
    against: Annotated[
        str | None,
        typer.Option(metavar="PATH|REVISION", help="the run to compare with: a folder or a revision (default: HEAD)"),
    ] = None,
) -> int:
    """Compare this run with the committed one: same bytes, same conclusions, or other conclusions (exit status 1)."""
    import tempfile

    from sizewise.reports import verify

    root = project_root()
    with tempfile.TemporaryDirectory() as scratch:
        found = verify.compare(root, verify.open_committed(root, against, Path(scratch)))
    if found.differences:
        print("\n".join(verify.table(found)))
    print(verify.sentence(found))
    return int(found.outcome == verify.OTHER_CONCLUSIONS)
