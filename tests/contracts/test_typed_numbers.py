"""Figures that somebody typed: prose and printed words hold none but declared ones, and those are held to their home.

A figure is a share, a number of basis points or points, a multiple, or a number with decimals. Whole numbers without a unit
(features, states, bars) are definitions and not looked at; neither is code.
"""

import ast
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

from sizewise.evidence.statistics.seeds import UNSTABLE_FRAC
from sizewise.params.reading import parse_params, read_params
from sizewise.reports.walk_forward import BAND as MIDDLE_OF_RESPONSES
from sizewise.studies.calibration.nulls import STATE_MEAN
from sizewise.studies.calibration.rejections import BAND
from sizewise.studies.stability.study import MIDDLE

ROOT = Path(__file__).parents[2]
P = parse_params(read_params(ROOT, "full"))
FIGURE = re.compile(
    r"(?<![\w.`{$/-])[-+]?(?:\d+\.\d+|\.\d+|\d+)(?:e-?\d+)?(?: ?%| bps?\b| points?\b| times\b)"
    r"|(?<![\w.`{$/:-])[-+]?\d*\.\d+(?!\w|\.\d)"
)
# How intervals are called everywhere; what they are computed at is each test's own.
INTERVAL = "95%"


def percent(share: float) -> str:
    return f"{100.0 * share:g}%"


def figures(text: str) -> list[str]:
    """Every figure of some prose, code, fields to fill and addresses left out."""
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    text = re.sub(r"`[^`]*`|\{[^}]*\}", "", text)
    return FIGURE.findall(re.sub(r"\]\([^)]*\)", "]", text))


def python_version() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project["requires-python"].removeprefix(">=")


def most_multiple() -> str:
    scheme = P.arms["ppo"].scheme
    return f"{max(scheme.multiples):g} times"


# What a place may say, and where it is from: a place that says another figure, or whose home says another, fails.
PROSE: dict[str, dict[str, Callable[[], str]]] = {
    "03_walk_forward": {
        "95%": lambda: INTERVAL,
        "80%": lambda: percent(MIDDLE_OF_RESPONSES[1] - MIDDLE_OF_RESPONSES[0]),
    },
    "04_compare": {"5%": lambda: percent(UNSTABLE_FRAC)},
    "07_calibration": {"99%": lambda: percent(BAND)},
    "12_small_account": {
        "30%": lambda: percent(P.small_account.account.safety_buffer_frac),
        "15%": lambda: percent(P.small_account.account.base_alloc_frac),
        "20%": lambda: percent(P.small_account.account.max_position_frac),
    },
    "16_assay": {
        "80%": lambda: percent(P.plan.gates.assay_found_frac),
        "5%": lambda: percent(P.plan.gates.assay_false_frac),
    },
    "18_outside_checks": {"90%": lambda: percent(P.outside.brownian.near_frac)},
    "README": {"20%": lambda: percent(P.arms["atr_managed"].resize_off_frac), "3.11": python_version},
    "docs/concepts": {"5%": lambda: percent(UNSTABLE_FRAC), "2 times": most_multiple},
}
# The same of words that code prints or draws; a source in words where the figure is somebody else's.
PRINTED: dict[str, dict[str, Callable[[], str] | str]] = {
    "dataset/features.py": {"0.94": "RiskMetrics (1996)", "0.6": lambda: f"{P.regimes.trending_strength:g}"},
    "evidence/claims.py": {"4 points": "what reference design C claims"},
    "params/studies/stress.py": {"1.0": "the costs of the ledgers themselves"},
    "reports/features.py": {"2%": lambda: percent(P.regimes.high_volatility_frac)},
    "reports/tables.py": dict.fromkeys(("50%", "55%", "58%"), "what reference design C promises of its phases"),
    "reports/walk_forward.py": {"80%": lambda: percent(MIDDLE_OF_RESPONSES[1] - MIDDLE_OF_RESPONSES[0])},
    "studies/calibration/report.py": {".3": lambda: f"{STATE_MEAN:g}".removeprefix("0"), "95%": lambda: INTERVAL},
    "studies/known_answers/cartpole.py": {"0.2": "the schedule's name in the published settings"},
    "studies/stability/report.py": {"90%": lambda: percent(MIDDLE[1] - MIDDLE[0]), "95%": lambda: INTERVAL},
    "walkforward/behaviour.py": {"10%": "what reference design A calls a drawdown"},
    **{
        f"studies/{name}": {"95%": lambda: INTERVAL}
        for name in (
            *("ablations/report.py", "assay/report.py", "known_answers/report.py", "known_answers/study.py"),
            *("outside/brownian.py", "outside/report.py", "outside/sizing.py", "outside/targeting.py"),
            *("schemes/report.py", "tables/report.py"),
        )
    },
}


def prose() -> dict[str, str]:
    """What every notebook, the front page and the manual say, by name."""
    # The block between its marks is made from the results, and held to them by test_pages.
    front = re.sub(r"<!-- result -->.*<!-- /result -->", "", (ROOT / "README.md").read_text("utf-8"), flags=re.DOTALL)
    found = {"README": front, **{f"docs/{path.stem}": path.read_text("utf-8") for path in ROOT.glob("docs/*.md")}}
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        found[path.stem] = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return found


def printed(source: str) -> list[str]:
    """What Python source may print or draw: its strings of several words, docstrings left out."""
    tree = ast.parse(source)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docs = {
        id(node.body[0].value) for node in ast.walk(tree) if isinstance(node, documented) and ast.get_docstring(node)
    }
    strings = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [node.value for node in strings if " " in node.value and id(node) not in docs]


def undeclared(said: list[str], declared: dict) -> list[str]:
    """Those of figures that a place may not say."""
    return [figure for figure in said if figure not in declared]


@pytest.mark.parametrize("place", prose())
def test_prose_says_no_figure_that_is_not_declared(place):
    said, declared = figures(prose()[place]), PROSE.get(place, {})
    assert undeclared(said, declared) == []
    assert set(declared) <= set(said), "a figure is declared that the prose no longer says"


def test_printed_words_say_no_figure_that_is_not_declared():
    home = ROOT / "src" / "sizewise"
    wrong = {}
    for path in sorted(home.rglob("*.py")):
        name = path.relative_to(home).as_posix()
        said = [figure for text in printed(path.read_text(encoding="utf-8")) for figure in figures(text)]
        declared = PRINTED.get(name, {})
        if undeclared(said, declared) or not set(declared) <= set(said):
            wrong[name] = (undeclared(said, declared), sorted(set(declared) - set(said)))
    assert wrong == {}


def test_declared_figures_are_what_their_homes_say():
    for declared in (*PROSE.values(), *PRINTED.values()):
        for figure, home in declared.items():
            assert isinstance(home, str) or home() == figure


@pytest.mark.parametrize(
    ("planted", "caught"),
    [
        ("On real bars the bootstrap rejects 21.0% of true nulls.", ["21.0%"]),
        ("The candidate gained 3.7 bps a day, p = .013.", ["3.7 bps", ".013"]),
        ("It was -0.4 points behind, and 3 times as fast.", ["-0.4 points", "3 times"]),
        ("A few: 56 features, 300 states, from 2011 on, `x = 0.5`, [a](b_0.5.md), study 15.", []),
    ],
)
def test_a_typed_result_is_caught(planted, caught):
    for text in (planted, prose()["04_compare"] + " " + planted):
        assert undeclared(figures(text), PROSE["04_compare"]) == caught


def test_a_typed_result_is_caught_in_printed_words_and_not_in_docstrings():
    source = 'def f():\n    """It rejects 21.0%."""\n    return f"The t-test rejects 56.0% of {1} nulls."\n'
    assert [figures(text) for text in printed(source)] == [["56.0%"], []]


def test_what_the_front_page_counts_is_what_is_declared():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    symbols = P.data.symbols
    assets = {P.data.asset_of.get(symbol, symbol) for symbol in symbols}
    assert f"on {len(symbols)} series of {len(assets)} assets" in " ".join(text.split())
    assert f"${P.account.initial_equity:,.0f} each" in text
