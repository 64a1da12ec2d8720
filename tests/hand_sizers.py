"""The plain rules as sizers, from their parameters."""

from functools import partial

from sizewise.params.arms import AtrArm, ConstantArm, VolTargetArm
from sizewise.sizing.sizers import HeldSizer, Sizer, atr_size, constant_size, vol_target_size


def constant_sizer(size_frac: float, limit_frac: float) -> Sizer:
    return HeldSizer(partial(constant_size, ConstantArm.model_construct(size_frac=size_frac)), limit_frac)


def atr_sizer(risk_frac: float, stop_atr: float, confidence_rule: bool, limit_frac: float) -> HeldSizer:
    arm = AtrArm(kind="atr", risk_frac=risk_frac, stop_atr=stop_atr, confidence_rule=confidence_rule)
    return HeldSizer(partial(atr_size, arm), limit_frac)


def vol_target_sizer(annual_vol_frac: float, limit_frac: float) -> Sizer:
    return HeldSizer(
        partial(vol_target_size, VolTargetArm(kind="vol_target", annual_vol_frac=annual_vol_frac)), limit_frac
    )
