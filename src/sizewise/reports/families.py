"""Which arms a figure draws together."""

from collections.abc import Mapping

from sizewise.ledgers.plan import looking_ahead
from sizewise.params.arms import Arm, DirectArm, PpoArm, PpoEnsembleArm
from sizewise.params.evidence.plan import WITHOUT_SKILL

# Families of arms, in the order in which they are drawn; an arm is of the first that it fits.
FAMILIES = ("no skill", "rules", "policies by gradient", "tables, closed trades and others that learn")


def families(arms: Mapping[str, Arm]) -> dict[str, list[str]]:
    """Arms by family, in their order; none that looks ahead, and no family without an arm."""
    found: dict[str, list[str]] = {name: [] for name in FAMILIES}
    for name, arm in arms.items():
        gradient = isinstance(arm, PpoArm | PpoEnsembleArm | DirectArm)
        place = 0 if arm.kind in WITHOUT_SKILL else 2 if gradient else 3 if arm.learned else 1
        found[FAMILIES[place]].append(name)
    ahead = set(looking_ahead(arms))
    return {name: kept for name, members in found.items() if (kept := [arm for arm in members if arm not in ahead])}
