"""After compiling ahead a training finds everything compiled."""

import subprocess
import sys

SCRIPT = """
from sizewise.bench import compiling
from sizewise.bench.operations import operations
from sizewise.learning.ppo.loops import kernels
from sizewise.trading import compiled_observer
from sizewise.trading.broker import compiled_plain, compiled_stretch, holding
from sizewise.trading.schemes import compiled_sizing

loops = [kernels.learn, kernels.act, kernels.encode, compiled_stretch._across, compiled_observer.observe]
loops += [compiled_sizing.order_units, compiled_sizing.may_choose, compiled_plain.plain_bar, holding._hold]
compiling.compile_all()
known = [list(loop.signatures) for loop in loops]
assert all(known), known
# On the way to a decision accounts are in either precision: who learns in single, who is looked at in double.
assert len(known[3]) == 2
operations()
assert known[:5] == [list(loop.signatures) for loop in loops[:5]]
"""


def test_a_training_afterwards_compiles_nothing_more():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
