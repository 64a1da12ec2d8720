"""sizewise: does learned position sizing beat ATR sizing, out of sample and net of costs?

    import sizewise as sw

    bars = sw.load_bars("data/bars/BTCUSDT_1h.parquet")
    ledger = sw.simulate(bars, actions, account=sw.Account(), costs=sw.Costs())
    policy = sw.load_policy("artifacts/policies/ppo/rolling_fold5_seed1")
    decision = policy.decide(bars, sw.Account())
    result = sw.compare(equity_a, equity_b)
    env = sw.open_env()  # for Gymnasium; sw.SizewiseEnv takes bars of your own

Names load on first use, so that importing one module does not import them all.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sizewise.arithmetic import pin

pin()

if TYPE_CHECKING:
    from sizewise.bars import load_bars
    from sizewise.config import Account
    from sizewise.costs import Costs
    from sizewise.decide import Decision, load_policy
    from sizewise.errors import SizewiseError
    from sizewise.gym_env import SizewiseEnv, SizewiseVectorEnv, open_env
    from sizewise.inference import compare
    from sizewise.simulation import simulate

_HOMES = {
    "load_bars": "bars",
    "Account": "config",
    "Costs": "costs",
    "Decision": "decide",
    "SizewiseEnv": "gym_env",
    "SizewiseError": "errors",
    "SizewiseVectorEnv": "gym_env",
    "compare": "inference",
    "load_policy": "decide",
    "open_env": "gym_env",
    "simulate": "simulation",
}
__all__ = [
    "Account",
    "Costs",
    "Decision",
    "SizewiseEnv",
    "SizewiseError",
    "SizewiseVectorEnv",
    "compare",
    "load_bars",
    "load_policy",
    "open_env",
    "simulate",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'sizewise' has no attribute '{name}'")
    return getattr(import_module(f"sizewise.{_HOMES[name]}"), name)
