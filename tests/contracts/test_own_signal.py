"""The manual's signal and features of one's own, followed literally: from the page to what learns of them."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from sizewise.causality import check_causal, own_parts
from sizewise.dataset import store
from sizewise.dataset.confidence import GivenConfidence, confidence_column
from sizewise.dataset.features import names_with
from sizewise.dataset.market_tensor import seen_confidence
from sizewise.dataset.signals import signal_trades
from sizewise.learning.closed_trades.policy import load_closed_trades, save_closed_trades
from sizewise.learning.closed_trades.training import train_closed_trades
from sizewise.learning.ppo import training
from sizewise.learning.ppo.agent import load_agent, save_agent
from sizewise.live.history import COLUMN, live_market
from sizewise.params.reading import parse_params, read_params
from sizewise.reports import features as report
from sizewise.reports.train import settings

ROOT = Path(__file__).parents[2]
SYMBOL = "BTCUSDT_1h"


def printed(marker: str) -> list[tuple[str, str]]:
    """The blocks between the page's markers, in order: language and text."""
    (section,) = re.findall(
        rf"<!-- {marker} -->(.*?)<!-- /{marker} -->", (ROOT / "docs" / "own.md").read_text(), re.DOTALL
    )
    return re.findall(r"```(\w+)\n(.*?)```", section, re.DOTALL)


def followed(marker: str, place: Path, base: dict, number: int = -1) -> dict:
    """Write the files that the page names, lay the number-th of its lines of params.yaml over `base`."""
    blocks = printed(marker)
    for language, text in blocks:
        if language != "yaml":
            file = place / re.match(r"# (\S+)\n", text).group(1)
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
    lines = yaml.safe_load([text for language, text in blocks if language == "yaml"][number])
    return {name: {**base.get(name, {}), **section} for name, section in lines.items()}


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """`checkout(marker, number)`: the quick profile's parameters in a folder in which the page was followed."""
    monkeypatch.setattr("sizewise.params.own_class.project_root", lambda: tmp_path)
    monkeypatch.setattr("sizewise.dataset.own.trades.project_root", lambda: tmp_path)

    def params(marker: str, number: int = -1):
        values = read_params(ROOT, "quick")
        values["data"] = {**values["data"], "symbols": [SYMBOL]}
        return parse_params({**values, **followed(marker, tmp_path, values, number)})

    return params


def universe_of(p, **columns):
    universe = store.read_universe(ROOT / "data" / "bars", p.data, before=p.splits.end, own=p.observation.own)
    return replace(universe, bars={SYMBOL: universe.bars[SYMBOL].assign(**columns)})


def test_the_class_of_the_page_is_the_signal_and_looks_nowhere_ahead(checkout):
    p = checkout("own-signal", 1)
    assert (p.signals.own_name, p.signals.family.own) == ("own/momentum.py:Momentum", {"days": 90})
    universe = universe_of(p)
    part = universe.bars[SYMBOL].iloc[:3000]
    assert check_causal(own_parts(p)["signal own/momentum.py:Momentum"], part, [2500]) == []
    tables, _ = store.build_tables(universe, [], p.regimes, p.signals)
    assert set(tables[SYMBOL]["direction"]) == {-1, 0, 1}


def test_the_trades_of_the_page_fill_where_it_says_with_its_confidence(checkout):
    p = checkout("own-signal")
    universe = universe_of(p)
    assert store.check_signal(ROOT / "data" / "bars", p.data, p.signals) == "own/trades.csv: 2 trades: ok"
    fold = store.cut_folds(universe, p.splits, p.regimes, window_bars=1)["rolling"][0]
    tables, models = store.build_tables(universe, [fold], p.regimes, p.signals)
    table, at = tables[SYMBOL], universe.bars[SYMBOL].index
    trades = signal_trades(universe.bars[SYMBOL], table)
    filled = at[trades["entry_row"] + 1].strftime("%Y-%m-%dT%H:%MZ").tolist()
    assert filled == ["2018-03-01T09:00Z", "2018-03-09T02:00Z"]
    assert trades["direction"].tolist() == [1.0, -1.0]
    assert models == {confidence_column(fold): GivenConfidence()}
    np.testing.assert_allclose(table[confidence_column(fold)].to_numpy()[trades["entry_row"]], [0.62, 0.48], rtol=1e-6)


@pytest.fixture
def flowing(checkout):
    """(parameters, universe, tables, models, fold) of the page's features on a made-up column `imbalance`."""
    p = checkout("own-features")

    def imbalance(frame):
        return np.sin(np.arange(len(frame)) / 50.0)

    universe = universe_of(p, imbalance=imbalance)
    fold = store.cut_folds(universe, p.splits, p.regimes, window_bars=p.observation.window_bars)["rolling"][0]
    return p, universe, *store.build_tables(universe, [fold], p.regimes, p.signals), fold


def test_the_features_of_the_page_are_seen_described_and_traded_by(flowing, tmp_path):
    p, universe, tables, models, fold = flowing
    own = ("imbalance", "lean")
    market = store.market_of(universe, tables)
    assert market.own == own
    assert report.definitions(p.regimes, p.observation.own).loc["lean", "group"] == "own"
    assert report.metrics(universe, tables, [fold])["n_features"] == 58
    frame = universe.bars[SYMBOL]["imbalance"]
    np.testing.assert_array_equal(tables[SYMBOL]["lean"], frame - frame.rolling(24).mean())
    # The candidate reads them by name, scaled on train, and is kept with them.
    job = training.Job("ppo", fold, 1, p.arms["ppo"].scheme, p.arms["ppo"].decisions)
    trained = training.train_population(market.to("cpu", torch.float32), [job], models, settings(p))[0].agent
    assert trained.spec.n_features == 3
    save_agent(trained, tmp_path / "kept")
    kept = load_agent(tmp_path / "kept")
    assert (kept.own, kept.spec) == (p.observation.own, trained.spec)
    assert len(kept.scalers[SYMBOL].mean) == 58
    # What is decided now sees the same rows.
    now = universe.bars[SYMBOL].iloc[-4000:]
    live = live_market({SYMBOL: now}, universe.instruments, p.regimes, p.signals, kept.confidence, kept.own)
    assert torch.equal(live.features[3000:4000, 55:], market.features[-1000:, 55:])
    assert live.seen_confidence(COLUMN).shape == (4002, 1)
    assert seen_confidence(market, fold).shape == (len(frame), 1)


def test_the_order_flow_model_reads_the_columns_of_the_page(flowing, tmp_path):
    p, universe, tables, _, fold = flowing
    market = store.market_of(universe, tables).to("cpu", torch.float64)
    names = names_with(market.own)
    trained = train_closed_trades(
        market, fold, [1], "outcome_ensemble", "outcome_ensemble", p.outcome, p.account, features=names
    )[0].policy
    assert [names[place] for place in trained.columns] == ["imbalance", "lean", "volume_z_24"]
    save_closed_trades(trained, tmp_path / "kept")
    assert load_closed_trades(tmp_path / "kept", p.outcome, "outcome_ensemble", features=names).features == names
