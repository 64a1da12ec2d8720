"""The command line: check, decide, bench, report, trials, unseal. Bad input is one line on stderr and exit status 2."""

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from sizewise.base.errors import ConfigError, DataMissingError, SizewiseError
from sizewise.base.paths import Workspace, project_root, write_atomically


def _check(arguments: argparse.Namespace) -> None:
    from sizewise.market.bars import load_bars
    from sizewise.market.instruments import find_instrument, load_instruments
    from sizewise.params.reading import parse_section, read_params

    if arguments.causality is not None:
        _check_causality(arguments)
        return
    if arguments.cut:
        raise ConfigError("--cut is a row at which --causality cuts: give both")
    if arguments.bars:
        for path in arguments.bars:
            bars = load_bars(path)
            print(f"{Path(path).name}: {len(bars)} bars, {bars.index[0]:%Y-%m-%d} to {bars.index[-1]:%Y-%m-%d}: ok")
        return
    root = project_root()
    data = parse_section("data", read_params(root)["data"])
    print("params.yaml: ok")
    instruments = load_instruments(root / "data" / "instruments.yaml")
    for symbol in data.symbols:
        bars = load_bars(root / "data" / "bars" / f"{symbol}.parquet", find_instrument(symbol, instruments))
        print(f"{symbol}: {len(bars)} bars, {bars.index[0]:%Y-%m-%d} to {bars.index[-1]:%Y-%m-%d}: ok")


def _check_causality(arguments: argparse.Namespace) -> None:
    from sizewise.causality import check_functions, load_function, own_parts
    from sizewise.params.reading import parse_params, parse_section, read_params

    target, paths = arguments.causality, arguments.bars
    functions = {target: load_function(target)} if target else own_parts(parse_params(read_params(project_root())))
    if not paths:
        root = project_root()
        data = parse_section("data", read_params(root)["data"])
        paths = [root / "data" / "bars" / f"{data.symbols[0]}.parquet"]
    for line in check_functions(functions, paths, arguments.cut):
        print(line)


def _decide(arguments: argparse.Namespace) -> None:
    from sizewise.live.decide import load_policy
    from sizewise.market.bars import load_bars

    policy = load_policy(arguments.policy)
    decision = policy.decide(
        load_bars(arguments.bars),
        equity=arguments.equity,
        position=arguments.position,
        symbol=arguments.symbol,
        memory=tuple(arguments.memory),
    )
    answer = {
        "action": getattr(decision.action, "name", decision.action),
        "direction": decision.direction,
        "dollars": round(decision.dollars, 2),
        "size_frac": round(decision.size_frac, 6),
        "probabilities": [round(value, 4) for value in decision.probabilities],
    }
    if decision.memory:
        answer["memory"] = list(decision.memory)
    print(json.dumps(answer, indent=2))


def _bench(arguments: argparse.Namespace) -> None:
    from sizewise.bench.run import run_bench

    record = run_bench(peers=arguments.peers, rounds=arguments.rounds)
    text = json.dumps(record, indent=2)
    path = Workspace.open().metrics / "bench.json"
    write_atomically(path, lambda temporary: temporary.write_text(text + "\n", encoding="utf-8"))
    print(text)


def _report(arguments: argparse.Namespace) -> None:
    from sizewise.evidence.verdict import read_record, sentence
    from sizewise.params.reading import parse_section
    from sizewise.params.stage import stage_params

    workspace = _workspace(arguments.profile)
    record = read_record(workspace.metrics / "verdict.json")
    plan = parse_section("plan", stage_params(workspace.root, "compare", arguments.profile)["plan"])
    print(sentence(record, plan.candidate, plan.reference, plan.alpha))
    print(f"Read on: {(workspace.reports / 'index.html').relative_to(workspace.root)}")


def _trials(arguments: argparse.Namespace) -> None:
    from sizewise.ledgers.trials import OPENING, chain_sentence, count_trials, read_ledger, refusal, sentence
    from sizewise.params.reading import parse_section, read_params

    workspace = _workspace(arguments.profile)
    splits = parse_section("splits", read_params(workspace.root, arguments.profile)["splits"])
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
    print(sentence(ledger.trials, splits))


def _unseal(arguments: argparse.Namespace) -> None:
    from sizewise.evidence.verdict import sentence
    from sizewise.params.reading import parse_params, read_params
    from sizewise.walkforward.unsealing import intention, prepare, unseal

    workspace = _workspace(arguments.profile)
    params = parse_params(read_params(workspace.root, arguments.profile))
    given = prepare(workspace, params)
    print(intention(given))
    if not arguments.yes:
        print("Nothing was opened: add --yes to open it.")
        return
    record = unseal(given, again=arguments.again)
    print(f"Opening {record['opening']} is recorded.")
    print(sentence(record, params.plan.candidate, params.plan.reference, params.plan.alpha))


def _workspace(profile: str) -> Workspace:
    workspace = Workspace.open(profile)
    if not workspace.base.is_dir():
        raise DataMissingError(f"build/{profile} is missing: there is no such profile, or it has not run")
    return workspace


def _finite(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number") from None
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text} is not finite")
    return value


def _positive(text: str) -> float:
    value = _finite(text)
    if value <= 0.0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number above 0")
    return int(text)


class _Parser(argparse.ArgumentParser):
    """A parser whose refusals are one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"sizewise: {message}: see `{self.prog} --help`\n")


def build_parser() -> argparse.ArgumentParser:
    """All subcommands; each has its own --help."""
    parser = _Parser(prog="sizewise", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        return command

    check = add(
        "check", _check, "Validate params.yaml and the default bars, or the files given; or find what looks ahead."
    )
    check.add_argument("bars", nargs="*", type=Path, help="parquet files of bars")
    check.add_argument(
        "--causality",
        nargs="?",
        const="",
        metavar="MODULE:FUNCTION",
        help="whether a function of bars looks ahead, such as my_features.py:compute (default: the project's features, "
        "regimes, signals and slices), on the files given or the first symbol's",
    )
    check.add_argument(
        "--cut", type=_count, action="append", help="with --causality: a row to cut at; repeat for several (default: 7)"
    )
    decide = add("decide", _decide, "Ask a trained policy for its decision at the close of the last bar.")
    decide.add_argument("policy", type=Path, help="a folder such as artifacts/policies/ppo/rolling_fold5_seed1")
    decide.add_argument("bars", type=Path, help="parquet file that ends with the bar that just closed")
    decide.add_argument("--equity", type=_positive, help="current equity (default: the account's start)")
    decide.add_argument("--position", type=_finite, default=0.0, help="signed value held (default 0)")
    decide.add_argument("--symbol", help="whose train scaler applies (default: the file's name)")
    decide.add_argument(
        "--memory", type=_finite, nargs="*", default=[], help="of a recurrent policy, as its last decision gave it"
    )
    bench = add("bench", _bench, "Time environment and training, and write metrics/bench.json.")
    bench.add_argument("--peers", action="store_true", help="time Stable-Baselines3 in the same run, if installed")
    bench.add_argument("--rounds", type=_count, default=3, help="interleaved rounds; medians are reported (default 3)")
    report = add("report", _report, "Print the verdict and where the reports are.")
    trials = add("trials", _trials, "List every out-of-sample evaluation ever recorded.")
    unseal = add(
        "unseal", _unseal, "Evaluate candidate and reference on the sealed slice, and record that it was opened."
    )
    unseal.add_argument("--yes", action="store_true", help="open it; without this only say what would be done")
    unseal.add_argument(
        "--again", action="store_true", help="open a slice that was opened before; every report says so"
    )
    for command in (report, trials, unseal):
        command.add_argument("--profile", default="full", help="full (default), or the name of a folder in build/")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the `sizewise` command."""
    arguments = build_parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except SizewiseError as error:
        print(f"sizewise: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("sizewise: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
