"""The quick profile's learners, ledgers and comparison in one process, as hashes: what must not depend on the processor.

    python tests/processors/quick_run.py [ARM ...]

prints one JSON object: what was made (of all arms, or of those named, ppo, direct and atr among them), and the first digits
of its SHA-256. The entry `planted` is made by functions that are known to depend on the processor.
"""

import sizewise  # noqa: F401  (first: it asks the libraries for their instructions before they load)

# isort: split
import hashlib
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from sizewise.base.arithmetic import measure
from sizewise.base.tensors import log, log10, root
from sizewise.dataset import store
from sizewise.dataset.market_tensor import build_market
from sizewise.evidence.inference import compare
from sizewise.learning.closed_trades.policy import save_closed_trades
from sizewise.learning.closed_trades.training import train_closed_trades
from sizewise.learning.direct.policy import save_direct
from sizewise.learning.direct.training import DirectSettings, train_direct
from sizewise.learning.field import learn_tables
from sizewise.learning.ppo import training
from sizewise.learning.ppo.agent import save_agent
from sizewise.learning.stored import policy_folder
from sizewise.params.reading import parse_params, read_params
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import SEVEN, Rules
from sizewise.params.trading.world import World
from sizewise.trading.desk import observer_of
from sizewise.trading.schemes.catalogue import open_scheme
from sizewise.trading.situation import standing
from sizewise.walkforward.field import Field
from sizewise.walkforward.frames import frames

ROOT = Path(__file__).resolve().parents[2]
ARMS = (
    *("ppo", "direct", "q_table", "dqn", "outcome_ensemble", "atr", "atr_managed", "vol_target", "vol_target_garch"),
    *("kelly", "kelly_forecast", "meta_label", "drawdown_scaled", "random_placebo"),
)
CLOSED = ("dqn", "outcome_ensemble")
SEED = 1
# One fold of the quick profile, and its first weeks.
SPLITS = {"test_starts": ("2018-08-01",), "end": "2018-10-01", "sealed_end": None}


def main(arms: tuple[str, ...] = ARMS) -> dict[str, str]:
    """Train, walk and compare; by name, hashes of what that left. `arms`: ppo, direct and atr among them."""
    params = parse_params(read_params(ROOT, "quick"))
    splits = type(params.splits)(**{**params.splits.model_dump(), **SPLITS})
    universe = store.read_universe(ROOT / "data" / "bars", params.data)
    window = params.observation.window_bars
    folds = store.cut_folds(universe, splits, params.regimes, window_bars=window)["rolling"]
    tables, models = store.build_tables(universe, folds, params.regimes, params.signals)
    made = {f"features {symbol}": hashed(table) for symbol, table in tables.items()}
    market = build_market(universe.bars, tables, universe.instruments)
    exact, fold = market.to("cpu", torch.float64), folds[0]
    settings = training.Settings(
        params.train, params.observation, World.of(params), params.regimes, params.signals, splits.purge_bars
    )
    with tempfile.TemporaryDirectory() as scratch:
        policies = Path(scratch)
        job = training.Job("ppo", fold, SEED, params.arms["ppo"].scheme)
        for trained in training.train_population(market.to("cpu", torch.float32), [job], models, settings):
            made["selection ppo"] = repr((trained.agent.origin["iteration"], trained.curve))
            # What training ended with: the one that is kept may be the untrained one, which no arithmetic moves.
            last = replace(trained.agent, parameters=trained.checkpoints[-1])
            save_agent(last, policy_folder(policies, "ppo", fold, SEED))
        tabled = {"q_table": params.arms["q_table"]}
        learn_tables(exact, tabled, {"rolling": folds}, [SEED], params.tabular, params.account, policies)
        direct = DirectSettings(
            params.direct, params.observation, World.of(params), params.train.validation_frac, splits.purge_bars
        )
        for member in train_direct(exact, fold, [SEED], "direct", params.arms["direct"], direct):
            save_direct(member.policy, policy_folder(policies, "direct", fold, SEED))
        for arm in (arm for arm in CLOSED if arm in arms):
            rules = (arm, arm, params.outcome, params.account)
            for member in train_closed_trades(exact, fold, [SEED], *rules, live_dir=None):
                save_closed_trades(member.policy, policy_folder(policies, arm, fold, SEED))
        made |= {
            f"policy {path.relative_to(policies)}": hashlib.sha256(path.read_bytes()).hexdigest()[:12]
            for path in sorted(policies.rglob("*")) if path.is_file()
        }  # fmt: skip
        field = Field(
            exact, folds, {name: params.arms[name] for name in arms}, [SEED], World.of(params), params.outcome, policies
        )
        ledgers = {}
        for name in arms:
            parts = list(frames(field.walk(name), exact, stop_atr=1.5))
            ledgers[name] = pd.concat([equity for equity, _ in parts], ignore_index=True)
            made[f"ledger {name}"] = hashed(ledgers[name])
            made[f"trades {name}"] = hashed(pd.concat([trades for _, trades in parts], ignore_index=True))
    # The sizes of PPO and of the tables are few, and those of `direct` go with every weight.
    made["verdict"] = hashed(pd.concat([compare(ledgers[name], ledgers["atr"]).table for name in ("ppo", "direct")]))
    return {**measure(), "functions": functions(), **made, "planted": planted()}


def scalars(equity: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
    """What accounts of the seven sizes show."""
    at = standing(equity, position, torch.zeros_like(equity))
    account = Account()
    scheme = open_scheme(SEVEN, ("one",), account, dtype=equity.dtype)
    return observer_of(scheme, account, Rules())(at.held, at.bar)


def functions() -> str:
    """What a policy sees of many accounts, and functions of many numbers: a short run meets too few of them to tell."""
    digest = hashlib.sha256()
    for dtype in (torch.float32, torch.float64):
        values = torch.logspace(-4.0, 4.0, 40_000, dtype=dtype)
        for found in (root(values), log(values), log10(values), scalars(1e3 * values, values)):
            digest.update(found.numpy().tobytes())
    return digest.hexdigest()[:12]


def planted() -> str:
    """torch's root and logarithm, which no setting holds to one set of instructions."""
    values = torch.linspace(0.1, 10.0, 20_000, dtype=torch.float64)
    return hashlib.sha256(values.log().numpy().tobytes() + values.float().sqrt().numpy().tobytes()).hexdigest()[:12]


def hashed(table: pd.DataFrame) -> str:
    """Every value of a table, to the last bit."""
    digest = hashlib.sha256()
    for name in table.columns:
        column = table[name].to_numpy()
        text = column.dtype == object or not np.issubdtype(column.dtype, np.number)
        digest.update(str(name).encode() + (repr(list(map(str, column))).encode() if text else column.tobytes()))
    return digest.hexdigest()[:12]


if __name__ == "__main__":
    print(json.dumps(main(tuple(sys.argv[1:]) or ARMS), indent=1))
