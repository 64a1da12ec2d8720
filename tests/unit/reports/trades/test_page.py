"""The page of the explorer and the stage that writes it: what it lists and says, its files, what is missing."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from bs4 import BeautifulSoup

from sizewise.base.paths import Workspace, project_root
from sizewise.dataset.regimes import LABELS
from sizewise.ledgers.columns import EQUITY_COLUMNS
from sizewise.params.arms import AtrArm, ConstantArm, OracleArm, PpoArm
from sizewise.params.dataset.regimes import Regimes
from sizewise.params.evidence.plan import Plan, Question
from sizewise.reports.trades import page as explorer
from sizewise.reports.trades.letters import numbers

ARMS = {
    "constant": ConstantArm(kind="constant", size_frac=0.1),
    "atr": AtrArm(kind="atr"),
    "ppo": PpoArm(kind="ppo"),
    "other": PpoArm(kind="ppo"),
    "ahead": OracleArm(kind="oracle_hindsight"),
}
PLAN = Plan(
    candidate="ppo", reference="atr", endpoint="daily_log_growth_difference", regimes=LABELS[:2],
    entry=Question(candidate="ppo", reference="constant"),
)  # fmt: skip
# Two days of one symbol that the project has, and whose bars lie in it.
SYMBOL, DAYS = "SPY_1d", pd.to_datetime(["2011-01-03 14:30", "2011-01-04 14:30"], utc=True)


def shown(plan: Plan = PLAN, regimes: Regimes | None = None) -> BeautifulSoup:
    names = list(ARMS)
    text = explorer.page(["A_1d", "B<_1d"], names, ARMS, plan, regimes or Regimes(), ["05_market_mechanics"], start=5e4)
    return BeautifulSoup(text, "html.parser")


def test_arms_stand_by_what_they_are():
    found = dict(explorer.groups(list(ARMS), ARMS, PLAN))
    assert found == {
        "What is asked about": ["ppo", "atr", "constant"],
        "Other learners": ["other"],
        "Looks ahead: a bound": ["ahead"],
    }
    alone = dict(explorer.groups(["constant", "atr"], ARMS, PLAN.model_copy(update={"entry": None})))
    assert alone == {"What is asked about": ["atr"], "Other rules": ["constant"]}


def test_the_page_offers_every_symbol_and_arm():
    page = shown()
    assert [option.text for option in page.select("#symbol option")] == ["A_1d", "B<_1d"]
    assert [option.text for option in page.select("#arm option")] == ["ppo", "atr", "constant", "other", "ahead"]
    assert [option.text for option in page.select("#regime option")[1:]] == [name.replace("_", " ") for name in LABELS]
    assert page.select_one("[aria-current=page]").text == page.h1.text
    assert page.select_one("[rel=prev]")["href"] == "04_compare.html"
    assert page.select_one("[rel=next]")["href"] == "05_market_mechanics.html"


def test_the_script_is_given_what_is_compared():
    given = json.loads(shown().select_one("#given").string)
    assert (given["reference"], given["beside"]) == ("atr", {"ppo": "constant"})
    assert (tuple(given["labels"]), given["start"]) == (LABELS, 5e4)
    assert json.loads(shown(PLAN.model_copy(update={"entry": None})).select_one("#given").string)["beside"] == {}


def test_what_is_drawn_is_explained_by_the_parameters():
    words = " ".join(
        shown(regimes=Regimes(quantile_window_days=123, trending_adx=31.0)).select_one("main").text.split()
    )
    assert "of 123 sessions" in words
    assert "ADX is above 31.0" in words
    assert "begins anew with $50,000" in words


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project whose walk-forward made two days of three arms; the third is cash."""
    root = project_root()
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(root / name, tmp_path)
    (tmp_path / "data" / "bars").mkdir(parents=True)
    shutil.copy(root / "data" / "instruments.yaml", tmp_path / "data")
    shutil.copy(root / "data" / "bars" / f"{SYMBOL}.parquet", tmp_path / "data" / "bars")
    names = ["ppo", "atr_managed", "cash"]
    account = {"symbol": SYMBOL, "fold": 0, "seed": 0}
    equity = pd.concat([pd.DataFrame({"arm": arm, **account, "timestamp": DAYS}) for arm in names], ignore_index=True)
    equity = equity.assign(equity=100_000.0, position_frac=np.arange(6) / 100.0, regime=pd.Categorical([LABELS[0]] * 6))
    ledger = tmp_path / "artifacts" / "ledger"
    ledger.mkdir(parents=True)
    equity.reindex(columns=list(EQUITY_COLUMNS)).to_parquet(ledger / "equity.parquet")
    figures = {
        "side": 1,
        "entry_price": 100.0,
        "exit_price": 101.0,
        "pnl": 5.0,
        "stop_distance": 2.0,
        "r_multiple": 1.0,
    }
    times = {"entry_time": DAYS[0], "exit_time": DAYS[1], "regime": LABELS[0]}
    pd.DataFrame([{"arm": arm, **account, **times, **figures} for arm in names[:2]]).to_parquet(
        ledger / "trades.parquet"
    )
    events = pd.DataFrame([{"arm": "ppo", **account, "timestamp": DAYS[0], "event": "clipped"}])
    events.to_parquet(ledger / "events.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_stage_writes_the_page_and_a_file_a_symbol(project, capsys):
    folder = project / "reports" / "trades"
    folder.mkdir(parents=True)
    (folder / "GONE_1d.js").write_text("of an earlier run")
    assert explorer.main([]) == 0
    assert [path.name for path in folder.iterdir()] == [f"{SYMBOL}.js"]
    page = BeautifulSoup((project / "reports" / "trades.html").read_text(), "html.parser")
    assert [option.text for option in page.select("#symbol option")] == [SYMBOL]
    assert [option.text for option in page.select("#arm option")] == ["ppo", "atr_managed"]
    text = (folder / f"{SYMBOL}.js").read_text()
    values = json.loads(f"[{text.removeprefix('sizewiseTrades(').removesuffix(');' + chr(10))}]")[1]
    assert np.cumsum(numbers(values["paths"]["atr_managed"]["0"][0])).tolist() == [200, 300]
    first = [path.read_bytes() for path in (project / "reports").rglob("*.*")]
    assert explorer.main([]) == 0
    assert [path.read_bytes() for path in (project / "reports").rglob("*.*")] == first
    assert capsys.readouterr().err == ""


def test_a_project_whose_accounts_hold_several_symbols_is_told(project):
    values = yaml.safe_load((project / "params.yaml").read_text())
    values["data"] |= {"symbols": ["AAPL_1d"], "spans": {}, "assets": {}}
    (project / "params.yaml").write_text(yaml.safe_dump(values))
    assert explorer.main([]) == 0
    page = BeautifulSoup((project / "reports" / "trades.html").read_text(), "html.parser")
    assert "there is nothing to look at" in page.select_one("main").text
    assert page.select("#symbol, #given") == []
    assert list((project / "reports" / "trades").iterdir()) == []


def test_a_walk_that_has_not_run_is_named(project, capsys):
    (project / "artifacts" / "ledger" / "trades.parquet").unlink()
    assert explorer.main([]) == 2
    assert "trades.parquet is missing from artifacts/ledger: run `dvc repro walk_forward`" in capsys.readouterr().err
    assert not (Workspace.open().reports / "trades.html").exists()
