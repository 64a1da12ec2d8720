"""`python -m sizewise.bench.compiling`: the loops that training and its walks use, compiled ahead and kept on disk.

An installation ends with it: otherwise the first training waits, and each of its processes compiles the same.
"""

from functools import partial

import torch

from sizewise.bench.run import Trainer, synthetic_market
from sizewise.params.learning.train import Train
from sizewise.params.rule_arms import ConstantArm
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import Rules
from sizewise.sizing.sizers import HeldSizer, constant_size
from sizewise.sizing.walks import day_marks, leaps
from sizewise.studies.planted.laws import SYNTHETIC

BARS = 400
# As small as the main job's policies, and of as few samples as some: what is compiled asks for no number in particular.
SMALL = Train(seeds=(1,), hidden=(4, 4), groups=8, replicas=2, horizon=8, epochs=1, minibatches=2)
INPUTS = ("ewma_vol", "signal_confidence")


def compile_all() -> None:
    """One iteration of a small training, and walks of accounts in double precision."""
    market = synthetic_market(BARS)
    trainer = Trainer(market, SMALL, 1, INPUTS)
    trainer.learner.update(trainer.learner.experience(), 0)
    exact = market.to("cpu", torch.float64)
    sizer = HeldSizer(partial(constant_size, ConstantArm(kind="constant", size_frac=0.1)), 1.0)
    decides = torch.arange(BARS) % 5 == 0
    paths = leaps.Paths.of([(0, BARS, 0, 0)])
    confidence = exact.confidence[SYNTHETIC].unsqueeze(0)
    leaps.returns(exact, paths, confidence, sizer, Account(), Rules(), decides=decides, marks=decides)
    day_marks.run(exact, paths.start, paths.length, confidence, paths.owner, sizer, Account(), Rules(), decides=decides)


if __name__ == "__main__":
    compile_all()
