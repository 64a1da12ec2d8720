"""The command line: check, decide, bench, report, trials, verdicts, unseal, verify.

Bad input is one line on stderr, status 2."""

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sizewise.base.errors import REFUSED, ConfigError, DataMissingError, SizewiseError, access_error
from sizewise.base.paths import Workspace, project_root, require_writable, write_json

if TYPE_CHECKING:
    import pandas as pd

    from sizewise.live.decide import Decision

app = typer.Typer(help=__doc__, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
# What typer makes of an interrupt.
INTERRUPTED = 130


def _finite(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise typer.BadParameter(f"'{text}' is not a number") from None
    if not math.isfinite(value):
        raise typer.BadParameter(f"{text} is not finite")
    return value


def _positive(text: str) -> float:
    value = _finite(text)
    if value <= 0.0:
        raise typer.BadParameter(f"{text} is not above 0")
    return value


Profile = Annotated[str, typer.Option(help="full, or the name of a folder in build/")]


def _workspace(profile: str) -> Workspace:
    workspace = Workspace.open(profile)
    if not workspace.base.is_dir():
        raise DataMissingError(f"build/{profile} is missing: there is no such profile, or it has not run")
    return workspace


@app.command()
def check(
    bars: Annotated[list[Path] | None, typer.Argument(metavar="BARS", help="parquet files of bars")] = None,
    causality: Annotated[
        str | None,
        typer.Option(
            metavar="[MODULE:FUNCTION]",
            help="whether a function of bars looks ahead, such as my_features.py:compute (without one: the project's "
            "features, regimes, signals and slices), on the files given or the first symbol's",
        ),
    ] = None,
    cut: Annotated[
        list[int] | None,
        typer.Option(min=1, metavar="ROW", help="with --causality: a row to cut at; repeat for several (default: 7)"),
    ] = None,
) -> None:
    """Validate params.yaml and the default bars, or the files given; or find what looks ahead."""
    from sizewise.market.bars import load_bars
    from sizewise.market.instruments import find_instrument, load_instruments
    from sizewise.params.reading import parse_section, read_params

    if causality is not None:
        _check_causality(causality, bars, cut)
        return
    if cut:
        raise ConfigError("--cut is a row at which --causality cuts: give both")
    if bars:
        for path in bars:
            _say_ok(path.name, load_bars(path))
        return
    root = project_root()
    data = parse_section("data", read_params(root)["data"])
    print("params.yaml: ok")
    instruments = load_instruments(root / "data" / "instruments.yaml")
    for symbol in data.symbols:
        path = root / "data" / "bars" / f"{symbol}.parquet"
        _say_ok(symbol, load_bars(path, find_instrument(symbol, instruments)))


def _say_ok(name: str, bars: "pd.DataFrame") -> None:
    print(f"{name}: {len(bars)} bars, {bars.index[0]:%Y-%m-%d} to {bars.index[-1]:%Y-%m-%d}: ok")


def _check_causality(target: str, paths: list[Path] | None, cut: list[int] | None) -> None:
    from sizewise.causality import check_functions, load_function, own_parts
    from sizewise.market.instruments import load_instruments
    from sizewise.params.reading import parse_params, parse_section, read_params

    if target:
        functions = {target: load_function(target)}
    else:
        root = project_root()
        instruments = load_instruments(root / "data" / "instruments.yaml")
        functions = own_parts(parse_params(read_params(root)), instruments)
    if not paths:
        root = project_root()
        data = parse_section("data", read_params(root)["data"])
        paths = [root / "data" / "bars" / f"{data.symbols[0]}.parquet"]
    for line in check_functions(functions, paths, cut):
        print(line)


@app.command()
def decide(
    arm: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER|ARM",
            help="a folder such as artifacts/policies/ppo/rolling_fold9_seed1, or the name of an arm of params.yaml",
        ),
    ],
    bars: Annotated[
        list[Path],
        typer.Argument(
            help="parquet file that ends with the bar that just closed; of an arm whose account holds several symbols, one "
            "of each, named after it"
        ),
    ],
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="when the account began, UTC (default: as early as the bars allow)"),
    ] = None,
    equity: Annotated[
        float | None, typer.Option(parser=_positive, help="current equity (default: that of the account that traded)")
    ] = None,
    position: Annotated[float | None, typer.Option(parser=_finite, help="signed value held, likewise")] = None,
    day_trades_left: Annotated[int, typer.Option(min=0, max=3, help="of a small account of US equities")] = 3,
    peak_equity: Annotated[
        float | None, typer.Option(parser=_positive, help="highest equity so far, for an arm that reads its drawdown")
    ] = None,
    symbol: Annotated[str | None, typer.Option(help="whose terms and scaler apply (default: the file's name)")] = None,
    memory: Annotated[
        list[float] | None,
        typer.Option(parser=_finite, metavar="NUMBER...", help="of a recurrent policy, as its last decision gave it"),
    ] = None,
    fold: Annotated[int | None, typer.Option(help="of an arm by name (default: the last)")] = None,
    seed: Annotated[int | None, typer.Option(help="of an arm by name (default: its first)")] = None,
    profile: Profile = "full",
) -> None:
    """Ask any arm for its decision at the close of the last bar, as the walk-forward takes it."""
    from sizewise.live.opening import load_policy, open_arm
    from sizewise.market.bars import load_bars
    from sizewise.market.instruments import load_instruments

    by_folder = Path(arm).is_dir() or len(Path(arm).parts) > 1
    opened = load_policy(arm) if by_folder else open_arm(arm, fold=fold, seed=seed, profile=profile)
    if len(bars) > 1 and not opened.symbols:
        raise ConfigError(f"{arm} holds one symbol an account: give one file, not {len(bars)}")
    known = {path.stem: load_bars(path) for path in bars}
    catalogue = bars[0].parent.parent / "instruments.yaml"
    terms = load_instruments(catalogue) if catalogue.is_file() else {}
    decision = opened.decide(
        known if opened.symbols else known[bars[0].stem],
        since=since,
        equity=equity,
        position=position,
        day_trades_left=day_trades_left,
        peak_equity=peak_equity,
        symbol=symbol,
        memory=tuple(memory or ()),
        instrument=terms.get(symbol or bars[0].stem),
    )
    print(json.dumps(_answer(decision), indent=2))


def _answer(decision: "Decision") -> dict[str, object]:
    if not decision.decides:
        return {"decides": False}
    answer: dict[str, object] = {
        "action": getattr(decision.action, "name", decision.action),
        "direction": decision.direction,
        "dollars": round(decision.dollars, 2),
        "size_frac": round(decision.size_frac, 6),
        "probabilities": [round(value, 4) for value in decision.probabilities],
        "equity": round(decision.equity, 2),
        "position": round(decision.position, 2),
    }
    if decision.factor != 1.0:
        answer["factor"] = decision.factor
    if decision.by_symbol:
        answer["by_symbol"] = {symbol: round(value, 2) for symbol, value in decision.by_symbol.items()}
    if decision.refused:
        answer |= {"refused": decision.refused, "accepted": round(decision.accepted, 2)}
    if decision.memory:
        answer["memory"] = list(decision.memory)
    return answer


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


@app.command()
def report(profile: Profile = "full") -> None:
    """Print the verdict and where the reports are."""
    from sizewise.evidence.verdict import read_record, verdict_sentence
    from sizewise.params.reading import parse_section
    from sizewise.params.stage import stage_params
    from sizewise.reports.page.failed import stale_sentences

    workspace = _workspace(profile)
    record = read_record(workspace.metrics / "verdict.json")
    plan = parse_section("plan", stage_params(workspace.root, "compare", profile)["plan"])
    print(verdict_sentence(record, plan.candidate, plan.reference, plan.alpha))
    for said in stale_sentences(workspace):
        print(said)
    print(f"Read on: {(workspace.reports / 'index.html').relative_to(workspace.root)}")


@app.command()
def trials(profile: Profile = "full") -> None:
    """List every out-of-sample evaluation ever recorded, and apart from them the reruns with other digits."""
    from sizewise.ledgers.reruns import read_reruns
    from sizewise.ledgers.trials import OPENING, chain_sentence, count_trials, read_ledger, refusal, seal_sentence
    from sizewise.params.reading import parse_section, read_params

    workspace = _workspace(profile)
    splits = parse_section("splits", read_params(workspace.root, profile)["splits"])
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

    workspace = _workspace(profile)
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
    from sizewise.params.reading import parse_params, read_params
    from sizewise.walkforward import unsealing

    workspace = _workspace(profile)
    params = parse_params(read_params(workspace.root, profile))
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
        said = access_error(error) if isinstance(error, OSError) else error
        if said is None:
            raise
        print(f"sizewise: {said}", file=sys.stderr)
        return REFUSED
    except typer.TyperException as error:
        place = getattr(getattr(error, "ctx", None), "command_path", "sizewise")
        print(f"sizewise: {error.format_message().removesuffix('.')}: see `{place} --help`", file=sys.stderr)
        return REFUSED
    if status == INTERRUPTED:
        print("sizewise: interrupted", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
