"""A result of the joint rule written by hand: what sentences and figures show, around two tests that fit it."""

import numpy as np

from sizewise.evidence.joint_rule import JointTest
from sizewise.evidence.statistics.blocks import BlockTest
from sizewise.evidence.statistics.joint import joint_detectable
from sizewise.evidence.statistics.means import MeanTest

BLOCKS, TERMS, DAYS, ALPHA, POWER = 8, 18, 300, 0.05, 0.80


def hand_joint(
    mean: float, low: float, high: float, p_value: float, mde: float = 0.0, *, other_p: float | None = None
) -> JointTest:
    """Both tests have the same interval; the cosine test's p-value is `other_p`, where it is given."""
    two = p_value if other_p is None else other_p
    error = (high - low) / 4.0
    one = BlockTest(mean, low, high, 0.0, p_value, error, BLOCKS)
    cosines = MeanTest(mean, low, high, 0.0, two, error, float(TERMS))
    noise = mde / joint_detectable(DAYS, blocks=BLOCKS, terms=TERMS, alpha=ALPHA, power=POWER)
    return JointTest(mean, low, high, float(np.maximum(p_value, two)), mde, one, cosines, noise, DAYS, ALPHA)
