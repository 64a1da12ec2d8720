"""The manual's rule of one's own, followed literally: from the page to the row of that arm in the comparison."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sizewise.base.paths import Workspace
from sizewise.evidence.comparison import open_study
from sizewise.ledgers.files import LedgerWriter
from sizewise.params.reading import parse_params, read_params
from sizewise.params.stage import Stage
from sizewise.params.trading.world import World
from sizewise.trading.schemes.values import position_limit_frac
from sizewise.walkforward import arms as arms_stage
from sizewise.walkforward.field import Field
from sizewise.walkforward.frames import frames

ROOT = Path(__file__).parents[2]
MOST_LINES = 12


def printed() -> dict[str, str]:
    """The code between the page's markers, by language."""
    (section,) = re.findall(
        r"<!-- own-rule -->(.*?)<!-- /own-rule -->", (ROOT / "docs" / "own.md").read_text(), re.DOTALL
    )
    return dict(re.findall(r"```(\w+)\n(.*?)```", section, re.DOTALL))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A checkout in which the page was followed: the file is written, and its line stands under `arms`."""
    place = tmp_path_factory.mktemp("checkout")
    for name in ("dvc.yaml", "studies/dvc.yaml", "tests/quick.yaml"):
        (place / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, place / name)
    (place / "data").symlink_to(ROOT / "data")
    code = printed()["python"]
    file = place / re.match(r"# (\S+)\n", code).group(1)
    file.parent.mkdir()
    file.write_text(code)
    # The page says under which section its lines stand.
    where, lines = re.fullmatch(r"# params\.yaml, under (\w+):\n(.*)", printed()["yaml"], re.DOTALL).groups()
    params = (ROOT / "params.yaml").read_text()
    grown, found = re.subn(rf"(?m)^({where}:.*\n)", lambda under: f"{under[1]}{lines}", params)
    assert found == 1
    (place / "params.yaml").write_text(grown)
    return place


def test_it_is_short():
    body = printed()["python"].split("import sizewise as sw\n")[1]
    assert len([line for line in body.splitlines() if line.strip()]) <= MOST_LINES
    assert re.findall(r"^import (\w+)|^from (\w+)", printed()["python"], re.MULTILINE) == [("sizewise", "")]


def test_its_stages_are_told_of_it(checkout, monkeypatch):
    monkeypatch.chdir(checkout)
    assert arms_stage.main(["--profile", "quick"]) == 0
    folder = checkout / "build" / "quick" / "artifacts" / "arms"
    walked, trained = (json.loads((folder / f"{stage}.json").read_text()) for stage in ("walk_forward", "train"))
    assert walked["arms"]["careful"]["least_confidence"] == 0.38
    assert "careful" not in trained["arms"]
    source = walked["sources"]["careful"]
    file = checkout / "own" / "careful.py"
    file.write_text(file.read_text() + "# edited\n")
    assert arms_stage.main(["--profile", "quick"]) == 0
    assert json.loads((folder / "walk_forward.json").read_text())["sources"]["careful"] != source


def test_it_has_its_row_in_the_comparison(checkout, quick, monkeypatch):
    monkeypatch.chdir(checkout)
    p = parse_params(read_params(checkout, "quick"))
    names = ("atr", "careful")
    workspace = Workspace.open("quick")
    market, folds = quick.market.to("cpu", torch.float64), quick.folds["rolling"]
    arms = {name: p.arms[name] for name in names}
    field = Field(market, folds, arms, p.train.seeds, World.of(p), p.outcome, workspace.policies)
    writer = LedgerWriter(workspace.ledger)
    runs = {name: field.walk(name) for name in names}
    for run in runs.values():
        for equity, trades in frames(run, market, stop_atr=1.5):
            writer.add(equity, trades)
    writer.close()
    plan = p.plan.model_copy(update={"candidate": "careful", "reference": "atr"})
    given = SimpleNamespace(**vars(p.replace(arms=arms, plan=plan)))
    table = open_study(Stage("compare", given, workspace, "0" * 16)).field()
    assert list(table.index) == ["careful"]
    assert np.isfinite(table.loc["careful", ["effect_bps", "low_bps", "high_bps", "p_value", "exposure_pct"]]).all()
    # What the class says: nothing below its confidence, and ATR's size above, up to the account's cap.
    atr, careful = (run.ledger.position / run.ledger.equity for run in runs.values())
    assert 0 < float((careful != 0).sum()) < float((atr != 0).sum())
    assert float(careful.abs().max()) < 1.3 * position_limit_frac(p.account)
