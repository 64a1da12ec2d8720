"""Every trap by name: how it is found, what repairs it, and whether a repair is made without being asked for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sizewise.base.errors import BarError
from sizewise.market.importing.clocks import REPEATS, WALL_TIME
from sizewise.market.importing.drafts import Draft, Find, Repair, Spot
from sizewise.market.importing.imported import Finding
from sizewise.market.importing.traps import clock, values

# Repaired where quotes are read and where clocks are, before there are bars.
BID_ONLY = "bid-only"


def _never(_: Draft, __: Spot) -> bool:
    return False


def _always(_: Draft, __: Spot) -> bool:
    return True


def _small_gaps(_: Draft, spot: Spot) -> bool:
    return not spot.facts["large"]


@dataclass(frozen=True)
class Trap:
    """what: its name. repairs: by the name that `--repair` takes, best first. harmless: whether the first is made unasked.
    done: what that comes to, in words."""

    what: str
    find: Find
    repairs: Mapping[str, Repair]
    done: str
    harmless: Callable[[Draft, Spot], bool] = field(default=_never)


KEEP = clock.as_they_are
# In the order that they are looked for: what is no bar goes first.
TRAPS = (
    Trap("empty-rows", values.empty_rows, {"drop-empty": values.drop}, "left out", _always),
    Trap("all-zero", values.all_zero, {"drop-zeros": values.drop}, "left out"),
    Trap("incomplete", values.incomplete, {"drop-incomplete": values.drop}, "left out"),
    Trap("not-positive", values.not_positive, {"drop-not-positive": values.drop}, "left out"),
    Trap("duplicate-rows", clock.duplicates, {"drop-duplicates": values.drop}, "one of each kept", _always),
    Trap(
        "conflicting-rows",
        clock.conflicts,
        {"keep-last": clock.keep_last, "keep-first": values.drop},
        "one of each kept",
    ),
    Trap("close-times", clock.close_times, {"start-of-bar": clock.from_close_times}, "named by their starts", _always),
    Trap("end-labels", clock.end_labels, {"end-labels": clock.from_end_labels}, "named by their starts"),
    Trap("unfinished-bar", clock.unfinished, {"drop-unfinished": values.drop}, "left out", _always),
    Trap(
        "mixed-lengths", clock.mixed, {"resample-mixed": clock.to_the_longest}, "made into bars of the longest length"
    ),
    Trap("off-grid", clock.off_grid, {"drop-off-grid": values.drop}, "left out"),
    Trap("out-of-session", clock.out_of_session, {"drop-out-of-session": values.drop}, "left out"),
    Trap("last-digits", values.last_digits, {"round": values.round_digits}, "rounded to 12 digits", _always),
    Trap("broken-range", values.broken_ranges, {"widen-range": values.widen, "drop-broken": values.drop}, "mended"),
    Trap("spikes", values.spikes, {"drop-spikes": values.drop, "keep-spikes": KEEP}, "treated as asked"),
    Trap("unadjusted-splits", values.splits, {"adjust-splits": values.adjust, "keep-jumps": KEEP}, "treated as asked"),
    Trap(
        "zero-volume-padding",
        values.padding,
        {"drop-padding": values.drop, "keep-padding": KEEP},
        "treated as asked",
        # A vendor that says so.
        lambda draft, _: draft.layout.padding,
    ),
    Trap("copied-bars", values.copies, {"drop-copies": values.drop, "keep-copies": KEEP}, "treated as asked"),
    Trap("gaps", clock.gaps, {"keep-gaps": KEEP}, "holes stay holes", _small_gaps),
)
REPAIRS = frozenset(name for trap in TRAPS for name in trap.repairs) | {WALL_TIME, REPEATS, BID_ONLY}


def check_repairs(wanted: frozenset[str]) -> None:
    """Refuse names of repairs that there are not.

    Raises:
        BarError: one is unknown; the message lists those there are.
    """
    unknown = sorted(wanted - REPAIRS)
    if unknown:
        raise BarError(f"--repair {unknown[0]} is none: there are {', '.join(sorted(REPAIRS))}")


def walk(draft: Draft) -> tuple[Draft, list[Finding]]:
    """Bars with what was asked for, or harms nothing, repaired; and everything that was found.

    What is refused is looked past as its first remedy would leave it, so that one fault is not found three times.
    """
    findings = []
    for trap in TRAPS:
        spot = trap.find(draft)
        if spot is None:
            continue
        first = next(iter(trap.repairs))
        chosen = next((name for name in trap.repairs if name in draft.how.repairs), None)
        if chosen is None and trap.harmless(draft, spot):
            chosen = first
        findings.append(_finding(draft, trap, spot, chosen))
        repaired = trap.repairs[chosen or first](draft, spot)
        if not len(repaired.frame):
            raise BarError(f"{findings[-1].said}: no bar would be left: look at the file")
        draft = repaired
    return draft, findings


def _finding(draft: Draft, trap: Trap, spot: Spot, chosen: str | None) -> Finding:
    position = int(spot.rows[0])
    row = int(draft.frame["row"].iloc[position])
    rest = f" ({len(spot.rows)} rows in all)" if len(spot.rows) > 1 and trap.what != "gaps" else ""
    said = f"{draft.place(position)}: {spot.said}{rest}"
    if chosen is None:
        remedy = " or ".join(f"--repair {name}" for name in trap.repairs)
        return Finding(trap.what, row, len(spot.rows), remedy, False, said, True)
    done = trap.done if trap.done != "treated as asked" else chosen.replace("-", " ")
    # What is kept as it is was not repaired: a note.
    changed = trap.repairs[chosen] is not KEEP
    return Finding(trap.what, row, len(spot.rows), "", changed, f"{said}: {done}")
