"""The market of params.yaml under random actions: what notebook 05 shows of its account, and of its reward step by step."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from sizewise.base.errors import LedgerError
from sizewise.base.paths import Workspace
from sizewise.base.seeding import numpy_generator
from sizewise.dataset.days import Days
from sizewise.dataset.signals import signal_stream
from sizewise.market.bars import load_bars
from sizewise.market.catalogue import bars_path, read_catalogue
from sizewise.market.costs import priced
from sizewise.market.tape import build_tape
from sizewise.params.dataset.signals import Signals
from sizewise.params.trading.account import Account
from sizewise.params.trading.rewards import Penalties, RewardModel
from sizewise.params.trading.trading import Trading, VenueCosts
from sizewise.reports.account import time_axis
from sizewise.reports.page.style import COLOURS, STYLE
from sizewise.studies.mechanics import AGREEMENT, Worked, check, draw_bars
from sizewise.trading.desk import Desk
from sizewise.trading.rewards import strength
from sizewise.trading.schemes.interface import Discrete
from sizewise.trading.simulation import Simulation, simulate


@dataclass(frozen=True)
class Configured:
    """A run of the market of params.yaml. `bare`: its reward before penalties, one value a bar as `done.reward`."""

    trading: Trading
    done: Simulation
    bare: pd.Series


def walk(
    trading: Trading,
    account: Account,
    signals: Signals,
    workspace: Workspace,
    *,
    bars: int,
    before: date,
    seed: int = 1,
) -> Configured:
    """Random actions of the scheme in params.yaml, under its costs, rules and reward, over the last bars of its symbols.

    A scheme that follows a signal follows the rule of `signals`; of several symbols, that of the first. Bars from `before`
    on, `splits.end`, are sealed and left out.

    Raises:
        LedgerError: the columns do not add up, or a reward of log growth is not the growth.
    """
    instruments = read_catalogue(workspace.root)
    terms = {symbol: priced(instruments[symbol], trading.costs) for symbol in trading.symbols}
    end = pd.Timestamp(before, tz="UTC")
    whole = {symbol: load_bars(bars_path(workspace.root, symbol)) for symbol in trading.symbols}
    series = {symbol: frame[frame.index < end] for symbol, frame in whole.items()}
    frames = {symbol: frame.iloc[-bars:] for symbol, frame in series.items()}
    tape = build_tape(frames, terms)
    space = Desk(tape, trading, account).scheme.space
    rng, length = numpy_generator("mechanics", seed), len(tape.times)
    actions: np.ndarray
    if isinstance(space, Discrete):
        actions = rng.integers(space.start, space.start + space.n, length)
    else:
        actions = rng.dirichlet(np.ones(space.shape), length)
    first = trading.symbols[0]
    days = Days.of(series[first], instruments[first])
    signal = signal_stream(series[first], signals, days)["direction"].reindex(tape.times).ffill().fillna(0)

    def walked(reward: RewardModel) -> Simulation:
        return simulate(
            frames,
            actions,
            trading.scheme,
            account,
            rules=trading.rules,
            instruments=terms,
            direction=signal.to_numpy(),
            reward=reward,
            # Drawn at random: what the mask forbids is refused in the record, not by an error.
            disallowed="record",
        )

    bare = walked(trading.reward.model_copy(update={"penalties": Penalties()}))
    done = walked(trading.reward) if trading.reward.penalties.any else bare
    check(done)
    drawn = Configured(trading, done, bare.reward)
    check_growth(drawn, account)
    return drawn


def check_growth(drawn: Configured, account: Account) -> None:
    """Hold rewards of log growth to what they are: the growth of log equity at every step, until the account is ruined.

    Raises:
        LedgerError: one is not.
    """
    equity = drawn.done.equity
    if drawn.trading.reward.kind != "log_growth":
        return
    solvent = equity.cummin().shift(1) > account.ruin_frac * account.initial_equity
    growth = np.log(equity.where(equity > 0)).diff()
    gap = float((drawn.bare - growth)[solvent].abs().max())
    # NaN where equity is gone, which no logarithm shows.
    if gap > AGREEMENT:
        raise LedgerError(f"rewards miss the growth of log equity by {gap:g}")


def sentence(drawn: Configured) -> str:
    """What was traded, and how often the venue had something to say."""
    trading, done = drawn.trading, drawn.done
    costs = trading.costs.name if isinstance(trading.costs, VenueCosts) else trading.costs.kind
    events = ", ".join(f"{name} {count}" for name, count in done.events["event"].value_counts().sort_index().items())
    return (
        f"Scheme `{trading.scheme.kind}`, costs `{costs}`, {trading.rules.margin} margin: "
        f"{len(done.fills)} fills on {len(done.equity)} bars of {', '.join(trading.symbols)}; events: {events or 'none'}."
    )


def reward_steps(drawn: Configured) -> pd.DataFrame:
    """What every step earned, on the bars it ends at: before penalties, penalties (<= 0), both, and the sum so far."""
    done = drawn.done
    steps = pd.DataFrame(
        {"before penalties": drawn.bare, "penalties": done.reward - drawn.bare, "reward": done.reward}
    ).iloc[1:]
    return steps.assign(**{"sum so far": steps["reward"].cumsum()})


def largest_steps(drawn: Configured, count: int = 12) -> pd.DataFrame:
    """The `count` steps that earned or lost most, in the order of time, with the position and equity they end at."""
    steps = reward_steps(drawn)
    most = steps["reward"].abs().sort_values(ascending=False, kind="stable").index[:count]
    chosen = steps.index[steps.index.isin(most)]
    table = steps.loc[chosen]
    table.insert(0, "position", drawn.done.position_value[chosen].round(4) + 0.0)
    table.insert(1, "equity", drawn.done.equity[chosen].round(4))
    return table.round(8) + 0.0


def curriculum(drawn: Configured) -> pd.DataFrame:
    """The sum of rewards as a learner would see it while penalties come into force, at quarters of the curriculum."""
    steps, rules = reward_steps(drawn), drawn.trading.reward.penalties.suppression
    iterations = sorted({round(rules.cycles * quarter / 4) for quarter in range(5)})
    forces = [strength(rules, iteration) for iteration in iterations]
    sums = [steps["before penalties"].sum() + force * steps["penalties"].sum() for force in forces]
    table = pd.DataFrame({"force of penalties": forces, "sum of rewards": sums}, index=iterations)
    return table.rename_axis("iteration").round(8) + 0.0


def reward_sentence(drawn: Configured) -> str:
    """What the rewards add up to, beside the growth of log equity that the account had."""
    steps, equity = reward_steps(drawn), drawn.done.equity
    growth = float(np.log(equity.iloc[-1] / equity.iloc[0])) if equity.iloc[-1] > 0 else -np.inf
    return (
        f"Reward `{drawn.trading.reward.kind}`: {steps['reward'].sum():.6g} over {len(steps)} steps, of which penalties "
        f"{steps['penalties'].sum() + 0.0:.6g}; the account's log equity grew by {growth:.6g}."
    )


def draw_reward(drawn: Configured) -> Figure:
    """What each step earned, and below it the sum so far, with and without penalties."""
    steps, unit = reward_steps(drawn), drawn.trading.reward.kind
    with plt.style.context(STYLE):
        figure = Figure(figsize=(7.2, 4.5), layout="constrained")
        top, bottom = figure.subplots(2, 1, sharex=True)
        top.vlines(steps.index, 0.0, steps["reward"], color=COLOURS[0], lw=1.0)
        top.set(title="Reward of each step", ylabel=unit)
        bottom.plot(steps.index, steps["sum so far"], color=COLOURS[0], label="reward")
        bottom.plot(steps.index, steps["before penalties"].cumsum(), color="#333333", ls=":", label="before penalties")
        bottom.set(title="Sum so far", ylabel=unit, xlabel="time (UTC)")
        bottom.legend()
        for axes in (top, bottom):
            axes.axhline(0.0, color="#888888", lw=0.8)
        time_axis(bottom, steps.index.to_series())
    return figure


def draw(drawn: Configured, workspace: Workspace) -> Figure:
    """Price with fills, position and equity."""
    trading, done = drawn.trading, drawn.done
    times = pd.DatetimeIndex(done.equity.index)
    bars = {symbol: load_bars(bars_path(workspace.root, symbol)) for symbol in trading.symbols}
    return draw_bars({symbol: frame[frame.index.isin(times)] for symbol, frame in bars.items()}, done)


def record(worked: Mapping[str, Worked], drawn: Configured) -> dict[str, dict[str, float]]:
    """The summary as a metric: columns by mechanism, and those of the configured market with its rewards."""
    runs = {name: case.done for name, case in worked.items()} | {"configured": drawn.done}
    found = {
        name: {"fills": float(len(done.fills))} | {str(k): round(float(v), 9) for k, v in done.flows.sum().items()}
        for name, done in runs.items()
    }
    steps = reward_steps(drawn)
    found["configured"] |= {name: round(float(steps[name].sum()), 9) + 0.0 for name in ("reward", "penalties")}
    return found
