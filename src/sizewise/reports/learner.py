"""What PPO learned: its curves by checkpoint, what it is held against where it learned, and where the reference was kept."""

from collections.abc import Sequence

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from sizewise.base.seeding import torch_generator
from sizewise.dataset.features import chosen_inputs, own_names
from sizewise.learning.ppo.policy import PolicySpec, initial_probabilities
from sizewise.learning.ppo.scores import CANDIDATE
from sizewise.learning.ppo.selection import WHOLE
from sizewise.learning.ppo.training import Settings, Trained, untrained
from sizewise.params.arms import AnyScheme, MultiplesOf
from sizewise.params.trading.account import Account
from sizewise.reports.figures import lead_title, over_folds, seed_band
from sizewise.reports.page.style import COLOURS, QUIET, WIDE, label_ends
from sizewise.sizing.multiples import open_any
from sizewise.trading.schemes.interface import Discrete
from sizewise.trading.schemes.values import Sizing7

CURVES = {"head_bps": "head of train", "tail_bps": "tail of train"}


def initial_policy(rules: Settings, scheme: AnyScheme) -> pd.DataFrame:
    """Action probabilities of an untrained policy of a scheme: a slight bias to trade, or the rule of its multiples."""
    seen = rules.observation
    names = _actions(scheme)
    spec = PolicySpec(
        seen.window_bars,
        (rules.train.hidden[0], rules.train.hidden[1]),
        n_features=len(chosen_inputs(seen.inputs, own_names(seen.own))),
        n_actions=len(names),
        encoder=rules.train.encoder,
        memory=rules.train.memory,
        inputs=seen.inputs,
    )
    fresh = untrained(spec, scheme, rules.train, [torch_generator("table")])
    probabilities = initial_probabilities(spec, fresh)[0]
    return pd.DataFrame([probabilities.tolist()], columns=names, index=["initial probability"])


def _actions(scheme: AnyScheme) -> list[str]:
    if isinstance(scheme, MultiplesOf):
        return [f"{multiple:g} x {scheme.base.kind}" for multiple in scheme.multiples]
    if scheme.kind == "sizing7":
        return [action.name for action in Sizing7]
    space = open_any(scheme, ("one",), Account()).space
    return [str(number) for number in range(space.n if isinstance(space, Discrete) else 0)]


def group_of(one: Trained) -> str:
    """Arm and split scheme."""
    return f"{one.job.arm} ({one.job.fold.scheme})"


def curve_frame(trained: Sequence[Trained]) -> pd.DataFrame:
    """One row a checkpoint of every policy: group, fold, seed, iteration, samples, tail_bps, head_bps (NaN unscored)."""
    rows = [
        {"group": group_of(one), "fold": one.job.fold.number, "seed": one.job.seed, **row}
        for one in trained
        for row in one.curve
    ]
    columns = ["group", "fold", "seed", "iteration", "samples", *CURVES]
    return pd.DataFrame(rows).reindex(columns=columns)


def curves_figure(curve: pd.DataFrame) -> Figure:
    """Scores of the greedy policy by samples, a panel a group: mean over folds, band over seeds, on the head of train, which
    teaches, and on its tail, which picks. Thin: the policy that training starts from, which is the rule where actions are
    multiples of one; at 0: cash. Test bars are read by nobody here."""
    groups = list(dict.fromkeys(curve["group"]))
    figure, rows = plt.subplots(
        len(groups), 1, figsize=(WIDE, 1.75 * len(groups) + 0.8), sharex=True, sharey=True, squeeze=False
    )
    for axes, group in zip(rows[:, 0], groups, strict=True):
        part = curve[curve["group"] == group]
        for colour, (name, label) in zip(COLOURS, CURVES.items(), strict=False):
            if part[name].notna().any():
                by_seed = over_folds(part, "samples", name, whole=True)
                seed_band(axes, by_seed.set_axis(by_seed.index / 1e3), colour, label)
                start = float(by_seed.iloc[0].mean())
                axes.axhline(start, color=colour, lw=0.8, ls=":", label=f"_{label}: start")
        axes.axhline(0.0, color=QUIET, lw=0.8)
        axes.set_title(group)
        axes.margins(x=0.0)
    for axes in rows[:, 0]:
        label_ends(axes)
    figure.supylabel("score (bps of the priced account a day)", fontsize=9)
    rows[-1, 0].set_xlabel("samples (thousands); dotted: before training; grey: cash")
    lead_title(figure, "Where a policy learns, and where it is chosen")
    return figure


def kept_table(trained: Sequence[Trained]) -> pd.DataFrame:
    """By group and fold: policies, and of how many the untrained one, which is the rule itself, scored best on the tail.

    Where declining days of the tail are to pick, also for how many the whole tail did, because it has no such day.
    """
    rows = [(group_of(one), one.job.fold.number, one.agent.origin.get("iteration") == 0) for one in trained]
    frame = pd.DataFrame(rows, columns=["group", "fold", "kept"])
    grouped = frame.groupby(["group", "fold"], sort=False)["kept"]
    table = pd.DataFrame({"policies": grouped.size(), "reference kept": grouped.sum().astype(int)})
    told = [one.agent.origin.get("selected_on") for one in trained]
    if not any(told):
        return table
    whole = pd.Series([on == WHOLE for on in told]).groupby([frame["group"], frame["fold"]], sort=False).sum()
    return table.assign(**{"whole tail": whole.astype(int)})


def kept_sentence(kept: pd.DataFrame) -> str:
    """In how many folds the untrained policy was deployed, a group a line."""
    lines = []
    for group, part in kept.groupby(level="group", sort=False):
        every = int((part["reference kept"] == part["policies"]).sum())
        some = int((part["reference kept"] > 0).sum())
        said = (
            f"{group}: the policy that training starts from was kept for {part['reference kept'].sum()} of "
            f"{part['policies'].sum()} policies: by every seed in {every} of {len(part)} folds, by some seed in {some}."
        )
        lines.append(f"{said} {declining_sentence(part)}" if "whole tail" in part else said)
    return "\n\n".join(lines)


def declining_sentence(kept: pd.DataFrame) -> str:
    """For how many policies declining days of the tail picked, and for how many the whole tail did for want of one.

    Args:
        kept: columns policies and `whole tail`.
    """
    whole, every = int(kept["whole tail"].sum()), int(kept["policies"].sum())
    return (
        f"Declining days of the tail picked the checkpoint of {every - whole} of {every} policies; the whole tail picked "
        f"that of the other {whole}, because it has no such day."
    )


def against_frame(trained: Sequence[Trained]) -> pd.DataFrame:
    """One row a policy that has a reference: group, fold, seed, scores on its heads at the reference's risk (bps a day) of
    what training ended with, of cash and of each yardstick, the `best` of the others, and whether it `learned`."""
    rows = []
    for one in trained:
        if one.against:
            best = max(score for name, score in one.against.items() if name != CANDIDATE)
            named = {"group": group_of(one), "fold": one.job.fold.number, "seed": one.job.seed}
            rows.append({**named, **one.against, "best": best, "learned": one.against[CANDIDATE] >= best})
    return pd.DataFrame(rows)


def against_table(against: pd.DataFrame) -> pd.DataFrame:
    """Means over folds and seeds, and the share of policies that earn at least the best of the others; empty without any."""
    if against.empty:
        return against
    scores = [name for name in against.columns if name not in ("group", "fold", "seed", "learned")]
    grouped = against.groupby("group", sort=False)
    table = grouped[scores].mean()
    return table.assign(**{"learned (%)": 100.0 * grouped["learned"].mean(), "policies": grouped.size()})


def metrics(trained: Sequence[Trained]) -> dict[str, dict[str, float]]:
    """What metrics/train.json holds of the learner, by group.

    `learned`: share of fold x seed in which the policy at the end of training, before selection, earns on its own heads at
    least the best of cash and the yardsticks, at the reference's risk; `learned_of`: how many they are; neither without a
    reference. `reference_kept`: share of policies of which the untrained one was selected; `reference_kept_folds`: of folds,
    by every seed.
    """
    kept, against = kept_table(trained), against_frame(trained)
    found: dict[str, dict[str, float]] = {}
    for group, part in kept.groupby(level="group", sort=False):
        every = part["reference kept"] == part["policies"]
        found[str(group)] = {
            "reference_kept": round(float(part["reference kept"].sum() / part["policies"].sum()), 4),
            "reference_kept_folds": round(float(every.mean()), 4),
        }
        mine = against[against["group"] == group] if len(against) else against
        if len(mine):
            found[str(group)] |= {"learned": round(float(mine["learned"].mean()), 4), "learned_of": len(mine)}
    return found
