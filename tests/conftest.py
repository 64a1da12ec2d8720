"""What tests share: a planted random walk, slices of the real series, and the quick profile's world."""

import sizewise  # noqa: F401  (first: it asks the libraries for their instructions before they load)

# isort: split
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import settings
from matplotlib import pyplot as plt

from sizewise.dataset import store
from sizewise.dataset.confidence import ConfidenceModel
from sizewise.dataset.market_tensor import Market, build_market
from sizewise.dataset.splits import Fold
from sizewise.dataset.store import Universe
from sizewise.learning.ppo import training
from sizewise.learning.ppo.agent import Agent
from sizewise.live import history
from sizewise.market.bars import load_bars
from sizewise.market.instruments import Instrument, load_instruments
from sizewise.params.reading import Params, parse_params, read_params
from sizewise.params.trading.rewards import LogGrowth
from sizewise.params.trading.trading import Sizing
from sizewise.params.trading.world import World

# A command in the background of a shell has its children ignore interrupts, and tests send some.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]
# Tests, however often they are parametrised, that took more than so many seconds together, or ask for what a module's tests
# share and took as long to make: nine tenths of the time. `make test` leaves them to `make slow`.
SLOW, LONG_S = Path(__file__).with_name("slow.txt"), 2.0
# Accounts that one test of the batched broker walks beside its slow twin.
ORACLE_PART = 10_000


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--oracle-paths",
        type=int,
        default=ORACLE_PART,
        help=f"accounts walked by both brokers, in {ORACLE_PART:,}s; `make verify` takes ten times the default",
    )
    parser.addoption(
        "--decide-rows",
        type=int,
        default=4,
        help="orders of each arm and symbol that a live decision is held against; `make verify` takes 100",
    )
    parser.addoption(
        "--processors",
        choices=["few", "whole"],
        default="few",
        help="what is made on other processors, see test_processors.py; `make verify` makes the whole",
    )
    parser.addoption(
        "--renew-drawn", action="store_true", help="keep what the figures draw now: see test_figures_drawn.py"
    )
    parser.addoption(
        "--renew-operations",
        action="store_true",
        help="keep what a rollout and an update ask now: see test_operations.py",
    )
    parser.addoption(
        "--slow", choices=["take", "leave", "only"], default="take", help="tests of slow.txt, which `make test` leaves"
    )
    parser.addoption("--renew-slow", action="store_true", help="keep which tests take long now, after a run of all")
    parser.addoption("--renew-looks", action="store_true", help="keep what the pages look like now: see test_looks.py")


def pytest_configure(config: pytest.Config) -> None:
    paths = config.getoption("--oracle-paths")
    if paths <= 0 or paths % ORACLE_PART:
        raise pytest.UsageError(f"--oracle-paths {paths}: give a multiple of {ORACLE_PART}")
    if config.getoption("--renew-slow"):
        config.pluginmanager.register(Shares())
        # Of several processes the one that tells the others what to do.
        if not hasattr(config, "workerinput"):
            config.pluginmanager.register(Clock())
    settings.register_profile("sizewise", derandomize=True, deadline=None, max_examples=paths // 1000)
    settings.load_profile("sizewise")


def _function(nodeid: str) -> str:
    return nodeid.partition("[")[0]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    mode = config.getoption("--slow")
    if mode == "take":
        return
    slow = set(SLOW.read_text(encoding="utf-8").splitlines())
    kept: list[pytest.Item] = []
    left: list[pytest.Item] = []
    for item in items:
        leaves = (_function(item.nodeid) in slow) == (mode == "leave")
        (left if leaves else kept).append(item)
    config.hook.pytest_deselected(items=left)
    items[:] = kept


class Shares:
    """Marks the tests that ask for what a module's tests share and took long to make: whichever of them comes first pays."""

    MARK = ("shares", "long")

    def __init__(self) -> None:
        self.long: set[pytest.FixtureDef[object]] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[object]) -> Iterator[None]:
        begun = time.perf_counter()
        made = yield
        if fixturedef.scope == "module" and time.perf_counter() - begun > LONG_S:
            self.long.add(fixturedef)
        return made

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_setup(self, item: pytest.Function) -> None:
        asked = item._fixtureinfo.name2fixturedefs.values()
        if any(found[-1] in self.long for found in asked):
            item.user_properties.append(self.MARK)


class Clock:
    """How long tests take, what they set up included."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        shares = Shares.MARK in map(tuple, report.user_properties)
        self.seconds[_function(report.nodeid)] += report.duration + LONG_S * shares

    def pytest_sessionfinish(self) -> None:
        long = sorted(name for name, seconds in self.seconds.items() if seconds > LONG_S)
        SLOW.write_text("".join(f"{name}\n" for name in long), encoding="utf-8")


def pytest_report_header(config: pytest.Config) -> str:
    paths = config.getoption("--oracle-paths")
    return f"oracle: {paths:,} accounts on both brokers, {paths // 1000} scenarios an invariant"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A part of the oracle's accounts a test, so that workers share them."""
    if "oracle_part" in metafunc.fixturenames:
        metafunc.parametrize("oracle_part", range(metafunc.config.getoption("--oracle-paths") // ORACLE_PART))


def random_walk(n_bars: int, *, seed: int, start: str = "2020-01-01", bar_minutes: int = 60) -> pd.DataFrame:
    """A geometric random walk as bars, round the clock, with volume; equal arguments give equal bars."""
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.006, n_bars)))
    open_ = np.concatenate([[100.0], close[:-1]]) * np.exp(rng.normal(0.0, 0.0005, n_bars))
    times = np.datetime64(start, "ns") + np.arange(n_bars) * np.timedelta64(bar_minutes, "m")
    top, bottom = np.maximum(open_, close), np.minimum(open_, close)
    return pd.DataFrame(
        {
            "open": open_,
            "high": top * np.exp(np.abs(rng.normal(0.0, 0.003, n_bars))),
            "low": bottom * np.exp(-np.abs(rng.normal(0.0, 0.003, n_bars))),
            "close": close,
            "volume": rng.lognormal(3.0, 1.0, n_bars),
        },
        index=pd.DatetimeIndex(times, tz="UTC", name="timestamp"),
    )


@cache
def _series(symbol: str) -> pd.DataFrame:
    return load_bars(ROOT / "data" / "bars" / f"{symbol}.parquet")


@pytest.fixture(autouse=True)
def own_style() -> Iterator[None]:
    """What a test does to the style of figures ends with it, so that no test depends on who ran before."""
    with plt.rc_context():
        yield


@pytest.fixture(scope="session")
def oracle_paths(request) -> int:
    """How many accounts are walked by both brokers."""
    return request.config.getoption("--oracle-paths")


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture
def bars() -> pd.DataFrame:
    """3,000 hourly bars of a random walk."""
    return random_walk(3000, seed=20200101)


@pytest.fixture
def daily_bars() -> pd.DataFrame:
    """3,000 bars of a random walk that are a day each, so that a bar is a session."""
    return random_walk(3000, seed=20200101, start="2012-01-01", bar_minutes=1440)


@pytest.fixture(scope="session")
def make_bars() -> Callable[..., pd.DataFrame]:
    """`make_bars(n_bars, seed=...)`: a random walk of one's own."""
    return random_walk


@pytest.fixture(scope="session")
def real_bars() -> Callable[..., pd.DataFrame]:
    """`real_bars(symbol, start, stop)`: a copy of those rows of a real series, validated."""

    def rows(symbol: str, start: int = 0, stop: int | None = None) -> pd.DataFrame:
        return _series(symbol).iloc[start:stop].copy()

    return rows


@pytest.fixture(scope="session")
def instruments() -> Mapping[str, Instrument]:
    """Of the committed instruments.yaml, by symbol."""
    return load_instruments(ROOT / "data" / "instruments.yaml")


@pytest.fixture(scope="session")
def params() -> Params:
    """The parameters of the committed params.yaml."""
    return parse_params(read_params(ROOT))


@dataclass(frozen=True)
class QuickWorld:
    """The quick profile's universe, market and one briefly trained policy of each mode."""

    params: Params
    universe: Universe
    folds: dict[str, tuple[Fold, ...]]
    market: Market
    models: dict[str, ConfidenceModel]
    settings: training.Settings

    def train(self, mode: str, *, seed: int = 1, fold: int = 0, **changes: object) -> training.Trained:
        return self.train_together([self.job(mode, seed=seed, fold=fold)], **changes)[0]

    def job(self, mode: str, *, seed: int = 1, fold: int = 0) -> training.Job:
        scheme = Sizing(kind="sizing7", mode=mode)
        return training.Job("ppo" if mode == "masked" else "ppo_free", self.folds["rolling"][fold], seed, scheme)

    def train_together(self, jobs: list[training.Job], **changes: object) -> list[training.Trained]:
        settings = replace(self.settings, train=self.settings.train.model_copy(update=changes))
        return training.train_population(self.market.to("cpu", torch.float32), jobs, self.models, settings)


@pytest.fixture(scope="session")
def quick(root) -> QuickWorld:
    params = parse_params(read_params(root, "quick"))
    universe = store.read_universe(root / "data" / "bars", params.data, before=params.splits.end)
    window = params.observation.window_bars
    folds = store.cut_folds(universe, params.splits, params.regimes, window_bars=window)
    every = [fold for scheme in folds.values() for fold in scheme]
    tables, models = store.build_tables(universe, every, params.regimes, params.signals)
    market = build_market(universe.bars, tables, universe.instruments)
    # The seven actions are no multiples of a rule that could price risk.
    train = params.train.model_copy(update={"reward": LogGrowth(kind="log_growth")})
    settings = training.Settings(
        train, params.observation, World.of(params), params.regimes, params.signals, params.splits.purge_bars
    )
    return QuickWorld(params, universe, folds, market, models, settings)


@pytest.fixture(scope="session")
def agents(quick) -> dict[str, Agent]:
    """A trained agent a mode."""
    return {mode: quick.train(mode).agent for mode in ("masked", "free")}


@pytest.fixture
def short_memories(monkeypatch):
    """A live decision is content with warm inputs: the quick profile has no two years of bars before its folds."""
    monkeypatch.setattr(history, "SETTLED_DAYS", 0)
    monkeypatch.setattr(history, "ATR_DAYS", 14)
