"""Commands about an account that trades."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sizewise.base.errors import ConfigError
from sizewise.cli.app import app
from sizewise.cli.given import Profile, finite, positive

if TYPE_CHECKING:
    from sizewise.live.decide import Decision


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
        float | None, typer.Option(parser=positive, help="current equity (default: that of the account that traded)")
    ] = None,
    position: Annotated[float | None, typer.Option(parser=finite, help="signed value held, likewise")] = None,
    day_trades_left: Annotated[int, typer.Option(min=0, max=3, help="of a small account of US equities")] = 3,
    peak_equity: Annotated[
        float | None, typer.Option(parser=positive, help="highest equity so far, for an arm that reads its drawdown")
    ] = None,
    symbol: Annotated[str | None, typer.Option(help="whose terms and scaler apply (default: the file's name)")] = None,
    memory: Annotated[
        list[float] | None,
        typer.Option(parser=finite, metavar="NUMBER...", help="of a recurrent policy, as its last decision gave it"),
    ] = None,
    fold: Annotated[int | None, typer.Option(help="of an arm by name (default: the last)")] = None,
    seed: Annotated[int | None, typer.Option(help="of an arm by name (default: its first)")] = None,
    profile: Profile = "full",
) -> None:
    """Ask any arm for its decision at the close of the last bar, as the walk-forward takes it."""
    from sizewise.live.opening import load_policy, open_arm
    from sizewise.market.bars import load_bars
    from sizewise.market.catalogue import instruments_beside

    by_folder = Path(arm).is_dir() or len(Path(arm).parts) > 1
    opened = load_policy(arm) if by_folder else open_arm(arm, fold=fold, seed=seed, profile=profile)
    if len(bars) > 1 and not opened.symbols:
        raise ConfigError(f"{arm} holds one symbol an account: give one file, not {len(bars)}")
    known = {path.stem: load_bars(path) for path in bars}
    terms = instruments_beside(bars[0])
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
