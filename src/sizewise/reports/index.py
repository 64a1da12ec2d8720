"""The index page of the reports: the question, the verdict and what agrees with it, the result table, figures and links."""

import argparse
import html
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat

from sizewise.base.errors import DataMissingError, exit_status
from sizewise.base.paths import Workspace, write_atomically
from sizewise.evidence import verdict
from sizewise.params.reading import parse_section
from sizewise.params.stage import stage_params

REPORTS = ("01_features", "02_train", "03_walk_forward", "04_compare")
# Their reports are committed, and never waited for.
STUDIES = {
    "05_market_mechanics": "The market's mechanics: what an order does to an account",
    "06_known_answers": "Known answers: do the learners find an optimum that is known?",
    "07_calibration": "Calibration: do the tests keep their level, and what would they find?",
    "08_overfitting": "Overfitting: what is the best of everything that was tried worth?",
    "09_stress": "Stress: does the comparison survive worse conditions, and where does the difference come from?",
    "10_ablations": "Ablations: what does each part of the candidate policy do?",
}
# The figures shown: report and the text of its cell that draws it.
FIGURES = (("03_walk_forward", "equity_by_arm"), ("04_compare", "difference_by_block"))
# What is said below the verdict: the comparison's cells that say it.
BESIDE = ("agreement_sentence", "anchored_sentence", "exposure_sentence", "selection_sentences")
COLUMNS = {
    "growth_bps_per_day": "growth (bps a day)",
    "before_costs_bps_per_day": "before costs",
    "costs_bps_per_day": "costs (bps a day)",
    "sharpe": "Sharpe",
    "max_drawdown_pct": "max drawdown (%)",
    "exposure_pct": "mean exposure (%)",
    "trades_per_seed": "trades",
}
STYLE = """
body{font:16px/1.55 system-ui,sans-serif;max-width:62rem;margin:2.5rem auto;padding:0 1.2rem;color:#1d2733;background:#fff}
h1{font-size:1.7rem;margin:0 0 .3rem} h2{font-size:1.15rem;margin:2.2rem 0 .6rem}
.verdict{border-left:5px solid #0072B2;background:#f2f7fb;padding:1rem 1.2rem;margin:1.4rem 0}
.verdict b{display:block;font-size:1.2rem;margin-bottom:.3rem}
table{border-collapse:collapse;font-size:.93rem} .scroll{overflow-x:auto}
td,th{padding:.32rem .8rem;border-bottom:1px solid #e3e8ee;text-align:right} td:first-child,th:first-child{text-align:left}
img{max-width:100%;height:auto;margin:.5rem 0} a{color:#0b5c94} small,.quiet{color:#5b6875}
li{margin:.25rem 0}
"""


def _read_summary(path: Path) -> Any:
    if not path.is_file():
        raise DataMissingError(f"metrics/{path.name} is missing: run `dvc repro`")
    try:
        return json.loads(path.read_bytes())
    except ValueError:
        raise DataMissingError(f"metrics/{path.name} is damaged: run `dvc repro -f walk_forward`") from None


def title_of(notebook: Any) -> str:
    """A notebook's first heading."""
    return str(notebook.cells[0].source.splitlines()[0]).lstrip("# ").strip()


def figure_of(notebook: Any, call: str) -> str | None:
    """The base64 PNG drawn by the cell whose source holds `call`."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and call in cell.source:
            for output in cell.outputs:
                if "image/png" in output.get("data", {}):
                    return "".join(output["data"]["image/png"].split())
    return None


def sentence_of(notebook: Any, call: str) -> str | None:
    """The text shown by the cell whose source holds `call`, without its Markdown marks."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and call in cell.source:
            for output in cell.outputs:
                if "text/markdown" in output.get("data", {}):
                    return "".join(output["data"]["text/markdown"]).replace("*", "").replace("`", "")
    return None


def arm_table(summary: Mapping[str, Mapping[str, float | None]]) -> str:
    """The result table as HTML."""
    head = "".join(f"<th>{html.escape(label)}</th>" for label in ("arm", *COLUMNS.values()))
    rows = []
    for arm, values in summary.items():
        cells = "".join("<td>-</td>" if values[name] is None else f"<td>{values[name]:,.2f}</td>" for name in COLUMNS)
        rows.append(f"<tr><td>{html.escape(arm)}</td>{cells}</tr>")
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def page(
    record: Mapping[str, Any],
    summary: Mapping[str, Mapping[str, float | None]],
    notebooks: Mapping[str, Any],
    *,
    candidate: str,
    reference: str,
    arms: Sequence[str],
    bounds: Sequence[str] = (),
    alpha: float = 0.05,
) -> str:
    """The whole page as HTML; it needs no network and no script. `bounds`: arms that look ahead.

    Raises:
        DataMissingError: a figure, an arm or one of its numbers is not there.
    """
    for arm in arms:
        missing = [name for name in COLUMNS if name not in summary.get(arm, {})]
        if missing:
            raise DataMissingError(f"metrics/walk_forward.json has no {missing[0]} of arm {arm}: run `dvc repro`")
    figures = []
    for report, call in FIGURES:
        image = figure_of(notebooks[report], call)
        if image is None:
            raise DataMissingError(f"{report} holds no figure of {call}: run `dvc repro -f`")
        figures.append(f'<img alt="{html.escape(call)}" src="data:image/png;base64,{image}">')
    beside = ""
    for call in BESIDE:
        text = sentence_of(notebooks["04_compare"], call)
        if text is None:
            raise DataMissingError(f"04_compare says nothing of {call}: run `dvc repro -f compare`")
        beside += f"<li>{html.escape(text)}</li>"
    links = "".join(
        f'<li><a href="{name}.html">{html.escape(title_of(notebook))}</a> '
        f'<small>(<a href="{name}.ipynb">notebook</a>)</small></li>'
        for name, notebook in notebooks.items()
    )
    studies = "".join(
        f'<li><a href="{name}.html">{html.escape(title)}</a> <small>(<a href="{name}.ipynb">notebook</a>)</small></li>'
        for name, title in STUDIES.items()
    )
    ahead = "".join(f" {html.escape(name)} looks ahead: a bound, and no rule to trade." for name in bounds)
    sentence = html.escape(verdict.sentence(record, candidate, reference, alpha))
    origin = (
        f"plan {record['plan_hash']}, data {record['data_hash']}, {record['n_trials']} configurations evaluated so far"
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>sizewise: does learned position sizing beat ATR sizing?</title><style>{STYLE}</style></head><body>
<h1>Does learned position sizing beat ATR sizing?</h1>
<p class="quiet">Out of sample, net of costs, across market regimes, on real bars. Every arm trades the same fills,
fees, cap and account; signal-following arms differ in size alone.</p>
<div class="verdict"><b>{html.escape(verdict.headline(record, candidate, reference))}</b>{sentence}</div>
<ul>{beside}</ul>
<h2>Every arm</h2><div class="scroll">{arm_table({arm: summary[arm] for arm in arms})}</div>
<p class="quiet">Equal weight over the symbols live each day, seeds averaged. Nothing in this table is a test.{ahead}</p>
{figures[0]}
<h2>The difference that is tested</h2>
{figures[1]}
<h2>Reports</h2><ul>{links}</ul>
<h2>Studies</h2><ul>{studies}</ul>
<p class="quiet">Provenance: {html.escape(origin)}.</p>
</body></html>
"""


def build(profile: str = "full") -> Path:
    """Write reports/index.html from metrics and executed reports.

    Raises:
        DataMissingError: a metric or report is missing.
    """
    workspace = Workspace.open(profile)
    params = stage_params(workspace.root, "index", profile)
    plan, arms = parse_section("plan", params["plan"]), parse_section("arms", params["arms"])
    notebooks = {}
    for name in REPORTS:
        path = workspace.reports / f"{name}.ipynb"
        if not path.is_file():
            raise DataMissingError(f"reports/{path.name} is missing: run `dvc repro`")
        notebooks[name] = nbformat.read(path, as_version=4)
    text = page(
        verdict.read_record(workspace.metrics / "verdict.json"),
        _read_summary(workspace.metrics / "walk_forward.json"),
        notebooks,
        candidate=plan.candidate,
        reference=plan.reference,
        arms=list(arms),
        bounds=[name for name, arm in arms.items() if arm.looks_ahead],
        alpha=plan.alpha,
    )
    target = workspace.reports / "index.html"
    write_atomically(target, lambda path: path.write_text(text, encoding="utf-8"))
    return target


def main(argv: list[str] | None = None) -> int:
    """`python -m sizewise.reports.index`: what dvc.yaml calls. Exit status 2 and one line on an error."""
    parser = argparse.ArgumentParser(prog="python -m sizewise.reports.index", description=__doc__)
    parser.add_argument("--profile", default="full")
    arguments = parser.parse_args(argv)
    return exit_status(lambda: build(arguments.profile))


if __name__ == "__main__":
    sys.exit(main())
