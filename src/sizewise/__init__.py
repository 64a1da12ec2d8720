"""sizewise: does learned position sizing beat ATR sizing, out of sample and net of costs?

    import sizewise as sw

    bars = sw.load_bars("data/bars/BTCUSDT_1h.parquet")
    ledger = sw.simulate(bars, actions, account=sw.Account(), costs=sw.Costs())
    policy = sw.load_policy("artifacts/policies/ppo/rolling_fold9_seed1")  # or sw.open_arm("atr"), any of params.yaml
    decision = policy.decide(bars, since="2021-07-01")
    result = sw.compare(equity_a, equity_b)
    judged = sw.judge({"mine": curve, "theirs": other}, tried=12)  # curves and trade lists from elsewhere
    learner = sw.learn_from(closes)  # a table of your own bot's closed trades
    env = sw.open_env()  # for Gymnasium; sw.SizewiseEnv takes bars of your own

A scheme, a rule, a learner, a signal or features of your own start from sw.ActionScheme, sw.Rule, sw.Learner, sw.Signal
or sw.Features.

Names load on first use, so that importing one module does not import them all.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sizewise.base.arithmetic import pin

pin()

if TYPE_CHECKING:
    from sizewise.base.errors import SizewiseError
    from sizewise.dataset.own.features import Features
    from sizewise.dataset.own.signal import Signal
    from sizewise.evidence.inference import compare
    from sizewise.evidence.judging.judgement import judge
    from sizewise.gym.environments import SizewiseEnv, SizewiseVectorEnv, open_env
    from sizewise.learning.from_closes import learn_from, load_learner
    from sizewise.live.decide import Decision
    from sizewise.live.opening import load_policy, open_arm
    from sizewise.market.bars import load_bars
    from sizewise.market.costs import Costs
    from sizewise.market.own import plain_instrument
    from sizewise.params.trading.account import Account
    from sizewise.reports.site.judgement import write_judgement
    from sizewise.sizing.own import Learner, Rule
    from sizewise.sizing.sizers import Situation
    from sizewise.trading.broker.orders import Orders
    from sizewise.trading.schemes.interface import ActionScheme, Box, Discrete, Weights
    from sizewise.trading.simulation import simulate

_HOMES = {
    "Account": "params.trading.account",
    "ActionScheme": "trading.schemes.interface",
    "Box": "trading.schemes.interface",
    "Costs": "market.costs",
    "Decision": "live.decide",
    "Discrete": "trading.schemes.interface",
    "Features": "dataset.own.features",
    "Learner": "sizing.own",
    "Orders": "trading.broker.orders",
    "Rule": "sizing.own",
    "Signal": "dataset.own.signal",
    "Situation": "sizing.sizers",
    "SizewiseEnv": "gym.environments",
    "SizewiseError": "base.errors",
    "SizewiseVectorEnv": "gym.environments",
    "Weights": "trading.schemes.interface",
    "compare": "evidence.inference",
    "judge": "evidence.judging.judgement",
    "learn_from": "learning.from_closes",
    "load_bars": "market.bars",
    "load_learner": "learning.from_closes",
    "load_policy": "live.opening",
    "open_arm": "live.opening",
    "open_env": "gym.environments",
    "plain_instrument": "market.own",
    "simulate": "trading.simulation",
    "write_judgement": "reports.site.judgement",
}
__all__ = [
    "Account",
    "ActionScheme",
    "Box",
    "Costs",
    "Decision",
    "Discrete",
    "Features",
    "Learner",
    "Orders",
    "Rule",
    "Signal",
    "Situation",
    "SizewiseEnv",
    "SizewiseError",
    "SizewiseVectorEnv",
    "Weights",
    "compare",
    "judge",
    "learn_from",
    "load_bars",
    "load_learner",
    "load_policy",
    "open_arm",
    "open_env",
    "plain_instrument",
    "simulate",
    "write_judgement",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'sizewise' has no attribute '{name}'")
    return getattr(import_module(f"sizewise.{_HOMES[name]}"), name)
