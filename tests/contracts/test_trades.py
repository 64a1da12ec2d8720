"""The committed trade explorer: small, of today's templates, and of the run that the committed metrics are of."""

import hashlib
import json
import re
from typing import Any

import numpy as np
import pytest

from sizewise.params.reading import parse_params, read_params
from sizewise.reports.page.contents import TRADES, further_pages
from sizewise.reports.trades import page as explorer
from sizewise.reports.trades.letters import numbers

from ..conftest import ROOT

REPORTS = ROOT / "reports"
PARAMS = parse_params(read_params(ROOT, "full"))
SYMBOLS = [name for name in PARAMS.data.symbols if (REPORTS / TRADES / f"{name}.js").is_file()]
UPLOT = explorer.FOLDER / "uplot"
# Of a page and of each file that it loads; and of all together, which every clone holds.
MOST_BYTES, MOST_IN_ALL = 1_000_000, 8_000_000


def read(symbol: str) -> dict[str, Any]:
    text = (REPORTS / TRADES / f"{symbol}.js").read_text(encoding="utf-8")
    called = re.fullmatch(r"sizewiseTrades\((.*)\);\n", text)
    assert called, symbol
    name, values = json.loads(f"[{called[1]}]")
    assert name == symbol
    return dict(values)


def test_the_page_is_todays():
    """Where this fails: `dvc repro trades`."""
    names = [arm for arm in PARAMS.arms if arm in read(SYMBOLS[0])["paths"]]
    text = explorer.page(
        SYMBOLS,
        names,
        PARAMS.arms,
        PARAMS.plan,
        PARAMS.regimes,
        further_pages(ROOT),
        start=PARAMS.account.initial_equity,
    )
    assert text == (REPORTS / f"{TRADES}.html").read_text(encoding="utf-8")


def test_every_symbol_has_a_file_and_none_is_left_over():
    assert set(SYMBOLS) == set(PARAMS.data.symbols)
    assert {path.name for path in (REPORTS / TRADES).iterdir()} == {f"{symbol}.js" for symbol in SYMBOLS}


def test_page_and_files_stay_small():
    sizes = [path.stat().st_size for path in (REPORTS / f"{TRADES}.html", *(REPORTS / TRADES).iterdir())]
    assert max(sizes) <= MOST_BYTES
    assert sum(sizes) <= MOST_IN_ALL


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_a_file_holds_every_account_of_the_symbol_whole(symbol):
    values = read(symbol)
    days, signals = np.cumsum(numbers(values["days"])), np.reshape(numbers(values["signals"]), (-1, 5))
    assert (np.diff(days) > 0).all()
    assert len(numbers(values["closes"])) == len(values["regimes"]) == len(days) == sum(n for _, n in values["folds"])
    assert [fold for fold, _ in values["folds"]] == sorted(fold for fold, _ in values["folds"])
    entered = np.cumsum(signals[:, 0]) // (24 * 60)
    assert np.isin(entered, days).all()
    for arm, seeds in values["paths"].items():
        assert seeds, arm
        for sizes, equity, trades, met in seeds.values():
            assert len(numbers(sizes)) == len(numbers(equity)) == len(days)
            followed = np.cumsum(np.reshape(numbers(trades), (-1, 5))[:, 0])
            assert ((followed >= 0) & (followed < len(signals))).all()
            assert len(numbers(met)) % 2 == 0


def test_the_trades_are_those_of_the_committed_metrics():
    summary = json.loads((ROOT / "metrics" / "walk_forward.json").read_text())
    counted: dict[str, list[int]] = {}
    for symbol in SYMBOLS:
        for arm, seeds in read(symbol)["paths"].items():
            for path in seeds.values():
                counted.setdefault(arm, []).append(len(numbers(path[2])) // 5)
    seeds = {arm: len(counts) / len(SYMBOLS) for arm, counts in counted.items()}
    found = {arm: sum(counts) / seeds[arm] for arm, counts in counted.items()}
    wanted = {arm: row["trades_per_seed"] for arm, row in summary.items() if row["trades_per_seed"]}
    assert found == pytest.approx(wanted)


def listed(readme: str) -> dict[str, str]:
    return dict(re.findall(r"^\| `(.+?)` \| `([0-9a-f]{64})` \|$", readme, re.MULTILINE))


def test_the_library_that_draws_is_the_published_one():
    hashes = listed((UPLOT / "README.md").read_text(encoding="utf-8"))
    files = {path.name: path for path in UPLOT.iterdir() if path.name != "README.md"}
    assert hashes.keys() == files.keys()
    assert {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()} == hashes
    version = re.match(r"# uPlot ([\d.]+)$", (UPLOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)[1]
    assert f"uPlot (v{version})" in (UPLOT / "uPlot.iife.min.js").read_text(encoding="utf-8")[:80]
    assert "MIT" in (UPLOT / "LICENSE").read_text(encoding="utf-8")


def test_a_changed_library_is_noticed():
    changed = hashlib.sha256((UPLOT / "uPlot.iife.min.js").read_bytes() + b" ").hexdigest()
    assert changed not in listed((UPLOT / "README.md").read_text(encoding="utf-8")).values()
