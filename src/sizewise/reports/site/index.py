"""The index page of the reports: the question, the verdict and what agrees with it, the result table, figures and links."""

import argparse
import base64
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from sizewise.base.errors import DataMissingError, exit_status
from sizewise.base.paths import Workspace, write_atomically
from sizewise.evidence import verdict
from sizewise.evidence.history import history_sentence, history_table, read_history
from sizewise.evidence.questions import holm_sentence
from sizewise.ledgers.metrics import BPS, days_per_year
from sizewise.ledgers.trials import TrialLedger, chain_sentence, read_ledger, seal_sentence
from sizewise.params.arms import Arm
from sizewise.params.dataset.splits import Splits
from sizewise.params.evidence.plan import Plan
from sizewise.params.reading import parse_section
from sizewise.params.stage import stage_params
from sizewise.reports.figures import difference_by_block, equity_by_arm
from sizewise.reports.page.contents import MAIN_TITLES, MANUAL, REPORT_TITLES, STUDY_TITLES, documents_of
from sizewise.reports.page.failed import stale_sentences
from sizewise.reports.page.glossary import GLOSSARY
from sizewise.reports.page.notes import project_note
from sizewise.reports.page.picture import png
from sizewise.reports.page.render import anchor_of, environment, surroundings
from sizewise.reports.page.style import use_style
from sizewise.reports.site import answer, box, search
from sizewise.reports.site.answer import ATR_KINDS

QUESTION = "Does learned position sizing beat ATR sizing?"
# Level, anchor and text of the page's headings.
TOC = (
    (2, "sure", "How sure"),
    (2, "gates", "Gates"),
    (2, "arms", "Every arm"),
    (2, "difference", "The difference that is tested"),
    (2, "history", "Every verdict so far"),
    (2, "reports", "Reports"),
)
COLUMNS = {
    "growth_bps_per_day": "growth (bps a day)",
    "before_costs_bps_per_day": "before costs",
    "costs_bps_per_day": "costs (bps a day)",
    "sharpe": "Sharpe",
    "max_drawdown_pct": "max drawdown (%)",
    "exposure_pct": "mean exposure (%)",
    "trades_per_seed": "trades",
}


@dataclass(frozen=True)
class Findings:
    """What the stages left for the page.

    Attributes:
        record: metrics/verdict.json. summary: metrics/walk_forward.json, by arm. sensitivities: metrics/sensitivities.json.
        growth: growth_pct of plots/equity_by_arm.csv, index day, one column an arm. days: plots/difference_by_day.csv, the
            same index: fold, regime, difference_bps. trials: of trials.jsonl. history: of verdicts.jsonl.
        cpcv: metrics/cpcv.json; None where that study has not run.
        stale: of notebooks that stopped; see failed.stale_sentences. note: of the project itself, see page.notes.
        studies: names of the studies whose reports stand beside the page. documents: of the pages of docs/.
    """

    record: Mapping[str, Any]
    summary: Mapping[str, Mapping[str, float | None]]
    sensitivities: Mapping[str, Any]
    growth: pd.DataFrame
    days: pd.DataFrame
    trials: TrialLedger
    history: Sequence[Mapping[str, Any]] = ()
    cpcv: Mapping[str, Any] | None = None
    stale: Sequence[str] = ()
    note: str = ""
    studies: Sequence[str] = ()
    documents: Sequence[str] = ()

    @property
    def further(self) -> list[str]:
        """See render.surroundings."""
        return [*self.studies, *self.documents]


def read_findings(workspace: Workspace, arms: Sequence[str]) -> Findings:
    """Read metrics, plots and trials.

    Raises:
        DataMissingError: a file, an arm or one of its numbers is missing, or a file is damaged.
    """
    summary = _read_json(workspace.metrics / "walk_forward.json", "walk_forward")
    for arm in arms:
        missing = [name for name in COLUMNS if name not in summary.get(arm, {})]
        if missing:
            raise DataMissingError(f"metrics/walk_forward.json has no {missing[0]} of arm {arm}: run `dvc repro`")
    curves = _read_days(workspace.plots / "equity_by_arm.csv", ["arm", "growth_pct"], "walk_forward")
    growth = curves.pivot(columns="arm", values="growth_pct")
    for arm in arms:
        if arm not in growth:
            raise DataMissingError(f"plots/equity_by_arm.csv has no arm {arm}: run `dvc repro`")
    return Findings(
        verdict.read_record(workspace.metrics / "verdict.json"),
        summary,
        _read_json(workspace.metrics / "sensitivities.json", "compare"),
        growth,
        _read_days(workspace.plots / "difference_by_day.csv", ["fold", "regime", "difference_bps"], "compare"),
        read_ledger(workspace.trials),
        read_history(workspace.verdicts),
        _read_json(cpcv, "cpcv") if (cpcv := workspace.metrics / "cpcv.json").is_file() else None,
        stale_sentences(workspace),
        project_note(workspace.root, "index"),
        # Of other bars, or of none yet: a report that is not there is no report of this project.
        [name for name in STUDY_TITLES if (workspace.reports / f"{name}.html").is_file()],
        documents_of(workspace.root),
    )


def _found(path: Path) -> str:
    """The path as a message names it.

    Raises:
        DataMissingError: there is no file.
    """
    name = f"{path.parent.name}/{path.name}"
    if not path.is_file():
        raise DataMissingError(f"{name} is missing: run `dvc repro`")
    return name


def _read_json(path: Path, stage: str) -> Any:
    name = _found(path)
    try:
        return json.loads(path.read_bytes())
    except ValueError:
        raise DataMissingError(f"{name} is damaged: run `dvc repro -f {stage}`") from None


def _read_days(path: Path, columns: list[str], stage: str) -> pd.DataFrame:
    name = _found(path)
    try:
        table = pd.read_csv(path)
        days = pd.to_datetime(table["date"], utc=True)
        # Results of before were kept without the symbols that were live.
        return table[[*columns, *table.columns.intersection(["live_symbols"])]].set_index(days)
    except (ValueError, KeyError):
        raise DataMissingError(f"{name} is damaged: run `dvc repro -f {stage}`") from None


def equity_figure(found: Findings, arms: Sequence[str]) -> Figure:
    """See figures.equity_by_arm: one panel; dotted where the first day of a fold is."""
    grown = (found.growth[list(arms)] / 100.0).apply(np.log1p)
    starts = found.days.index[found.days["fold"].diff() != 0]
    return equity_by_arm(grown.diff().fillna(grown), {"": arms}, list(starts), live=found.days.get("live_symbols"))


def titles(plan: Plan, arms: Mapping[str, Arm]) -> dict[str, str]:
    """Of the main reports, the last by the names of the arms where it is not the project's own question."""
    if question(plan, arms) == QUESTION:
        return MAIN_TITLES
    return {**MAIN_TITLES, "04_compare": f"The comparison: {plan.candidate} against {plan.reference}"}


def question(plan: Plan, arms: Mapping[str, Arm]) -> str:
    """What the page is about: the project's question, or that of two arms of one's own."""
    candidate, reference = arms[plan.candidate], arms[plan.reference]
    if candidate.learned and reference.kind in ATR_KINDS:
        return QUESTION
    return f"Does {plan.candidate} beat {'ATR sizing' if reference.kind in ATR_KINDS else plan.reference}?"


def beside_the_verdict(found: Findings, plan: Plan, splits: Splits) -> list[str]:
    """What is said below the verdict: the other tests, anchored training, exposure, and how much was tried."""
    tests = pd.DataFrame.from_dict(found.sensitivities["tests"], orient="index")
    carried, reference = (found.summary[name]["exposure_pct"] or 0.0 for name in (plan.candidate, plan.reference))
    said = [
        verdict.seeds_sentence(found.record),
        verdict.agreement_sentence(tests, plan.alpha),
        verdict.anchored_sentence(found.record, found.sensitivities["anchored"], plan.alpha),
        verdict.exposure_sentence(carried, reference, plan.candidate, plan.reference),
        holm_sentence(found.record),
        f"{chain_sentence(found.trials)} {seal_sentence(found.trials.trials, splits)}",
    ]
    # Sentences are Markdown; the page is not.
    return [text.replace("*", "").replace("`", "") for text in said]


def page(found: Findings, plan: Plan, arms: Mapping[str, Arm], splits: Splits) -> str:
    """The whole page as HTML; it needs no network, and says everything without its script."""
    record, names = found.record, (plan.candidate, plan.reference)
    bounds = [name for name, arm in arms.items() if arm.looks_ahead]
    use_style()
    shown = [arm for arm in arms if arm not in bounds]
    return (
        environment()
        .get_template("index.html.j2")
        .render(
            **surroundings("index", found.further),
            toc=[place for place in TOC if place[1] != "gates" or record["gates"]],
            question=question(plan, arms),
            note=found.note,
            plain=answer.plain(record, *(answer.called(name, arms[name]) for name in names)),
            take_home=answer.take_home(record, plan, days_per_year(found.days["difference_bps"])),
            dollar_heads=answer.ROWS,
            dollars=answer.dollars(found.growth, found.summary, plan, arms),
            years=answer.years_of(found.growth),
            headline=verdict.headline(record, *names),
            sentence=verdict.verdict_sentence(record, *names, plan.alpha),
            stale=found.stale,
            box=_box(found),
            beside=beside_the_verdict(found, plan, splits),
            gates={name: gate["sentence"] for name, gate in record["gates"].items()},
            columns=["arm", *COLUMNS.values()],
            rows={arm: [_cell(found.summary[arm][name]) for name in COLUMNS] for arm in arms},
            bounds=bounds,
            equity=_embedded(equity_figure(found, [arm for arm in shown if arm in plan.leading(arms)])),
            equity_said=equity_said(found.growth[shown]),
            history=_history(found),
            history_sentence=history_sentence(found.history),
            difference=_embedded(
                difference_by_block(
                    found.days["difference_bps"] / BPS, plan.blocks, *names, live=found.days.get("live_symbols")
                )
            ),
            difference_said=difference_said(found.days["difference_bps"], plan),
            reports=titles(plan, arms),
            studies={name: STUDY_TITLES[name] for name in found.studies},
            record=record,
        )
    )


def equity_said(growth: pd.DataFrame) -> str:
    """What the figure of all arms shows, for who cannot see it. Args: `growth`: see Findings, of the arms drawn."""
    ends = growth.iloc[-1].sort_values(ascending=False, kind="stable")
    listed = ", ".join(f"{arm} {value:+.1f}%" for arm, value in ends.items())
    first, last = (f"{day:%Y-%m-%d}" for day in (growth.index[0], growth.index[-1]))
    return f"Growth of equity by arm from {first} to {last}, compounded. It ends at: {listed}."


def difference_said(days: pd.Series, plan: Plan) -> str:
    """What the figure of the difference shows. Args: `days`: bps of equity a day."""
    means = ", ".join(f"{block.mean():+.2f}" for block in np.array_split(days.to_numpy(), plan.blocks))
    return (
        f"The daily difference of {plan.candidate} and {plan.reference}, cumulated: {days.sum():+.0f} bps at the end. "
        f"Means of {plan.blocks} blocks of days, in bps a day: {means}."
    )


def glossary(further: Sequence[str]) -> str:
    """The page of words. Args: `further`: see render.surroundings."""
    words = [(word, anchor_of(word), GLOSSARY[word]) for word in sorted(GLOSSARY, key=str.lower)]
    around = surroundings("glossary", further)
    return environment().get_template("glossary.html.j2").render(**around, title="Glossary", words=words)


def searched(further: Sequence[str]) -> tuple[str, ...]:
    """Names of the pages that the search looks through, in order. Args: `further`: see render.surroundings."""
    return ("index", *REPORT_TITLES, *further, *MANUAL)


def _box(found: Findings) -> list[tuple[str, str]]:
    rows = box.live(found.days["live_symbols"]) if "live_symbols" in found.days else []
    rows += box.beside(found.record, found.sensitivities["anchored"], found.cpcv)
    return rows + box.gates(found.record)


def _history(found: Findings) -> list[list[str]]:
    """The table of all verdicts, header first."""
    table = history_table(found.history, found.record)
    words = {"effect (bps a day)": "{:+.2f}", "p": "{:.3f}"}
    rows = [[words.get(name, "{}").format(value) for name, value in row.items()] for row in table.to_dict("records")]
    return [list(table.columns), *rows]


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f}"


def _embedded(figure: Figure) -> str:
    """A figure as base64 PNG; see picture.png."""
    drawn = png(figure)
    plt.close(figure)
    return base64.b64encode(drawn).decode()


def _write(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")


def build(profile: str = "full") -> Path:
    """Write reports/index.html, and beside it the glossary and what the search looks through.

    Raises:
        DataMissingError: see read_findings.
    """
    workspace = Workspace.open(profile)
    params = stage_params(workspace.root, "index", profile)
    plan, arms, splits = (parse_section(name, params[name]) for name in ("plan", "arms", "splits"))
    found = read_findings(workspace, list(arms))
    target, words = (workspace.reports / f"{name}.html" for name in ("index", "glossary"))
    for path, text in {target: page(found, plan, arms, splits), words: glossary(found.further)}.items():
        write_atomically(path, partial(_write, text))
    pages = [workspace.reports / f"{name}.html" for name in searched(found.further)]
    search.write_search([path for path in pages if path.is_file()], workspace.reports / search.FILE)
    return target


def main(argv: list[str] | None = None) -> int:
    """`python -m sizewise.reports.site.index`: what dvc.yaml calls. Exit status 2 and one line on an error."""
    parser = argparse.ArgumentParser(prog="python -m sizewise.reports.site.index", description=__doc__)
    parser.add_argument("--profile", default="full")
    arguments = parser.parse_args(argv)
    return exit_status(lambda: build(arguments.profile))


if __name__ == "__main__":
    sys.exit(main())
