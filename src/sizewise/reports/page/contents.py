"""The reports in the order in which they are read: what stage makes each, under which name and title."""

from pathlib import Path

# Of the main job; what a project says beside one of them stands in notes/<name>.md.
MAIN = {
    "features": ("01_features", "Features, regimes and the signal"),
    "train": ("02_train", "Training: every learner, one part a fold and seed"),
    "walk_forward": ("03_walk_forward", "Walk-forward: every arm, out of sample"),
    "compare": ("04_compare", "The comparison: learned sizing against ATR sizing"),
}
# Its explorer of trades, which is no notebook: the page's name, and what it is called.
TRADES, TRADES_TITLE = "trades", "Look at the trades"
# Reports on what those trades come to, which lead there.
TRADED = ("03_walk_forward", "04_compare")
# Their reports are committed, and never waited for.
STUDIES = {
    "market_mechanics": ("05_market_mechanics", "The market's mechanics: what an order does to an account"),
    "known_answers": ("06_known_answers", "Known answers: do the learners find an optimum that is known?"),
    "calibration": ("07_calibration", "Calibration: do the tests keep their level, and what would they find?"),
    "overfitting": ("08_overfitting", "Overfitting: what is the best of everything that was tried worth?"),
    "stress": (
        "09_stress",
        "Stress: does the comparison survive worse conditions, and where does the difference come from?",
    ),
    "ablations": ("10_ablations", "Ablations: what does each part of the candidate policy do?"),
    "stability": ("11_stability", "Stability: what would other seeds and another arithmetic have decided?"),
    "small_account": (
        "12_small_account",
        "The small account: what does $1,000 change, and what do minimums, lots and limits cost?",
    ),
    "schemes": ("13_schemes", "Schemes: what do the reference designs' other actions come to?"),
    "families": ("14_families", "Families of the signal: how much rests on the one that is traded?"),
    "budget": ("15_budget", "Budget: would more training, or another network, deploy other policies?"),
    "assay": ("16_assay", "Assay: would an edge of sizing be found?"),
    "tables": ("17_tables", "Later lists: do the variants that reference designs C and E put off change their arms?"),
    "outside": ("18_outside_checks", "Outside checks: does what others published come out here?"),
    "speed": ("19_speed", "Speed: where do time and memory go, and who is faster?"),
}
# Pages of docs/, which a project of somebody's own does without.
DOCUMENTS = {
    "concepts": "Concepts",
    "verdict": "How to read the verdict",
    "use": "Use it",
    "own": "Add your own",
    "designs": "The five reference designs",
    "mistakes": "When something goes wrong",
}
# Every project's own.
MANUAL = {"manual": "Start here", "api": "API", "glossary": "Glossary"}
# By stage.
NOTEBOOKS = {stage: name for stage, (name, _) in (MAIN | STUDIES).items()}
# By name of the report.
MAIN_TITLES = dict(MAIN.values())
REPORT_TITLES = MAIN_TITLES | {TRADES: TRADES_TITLE}
STUDY_TITLES = dict(STUDIES.values())


def studies_of(root: Path) -> tuple[str, ...]:
    """Names of the studies' reports where a project runs them; one of somebody's own bars need not."""
    return tuple(STUDY_TITLES) if (root / "studies" / "dvc.yaml").is_file() else ()


def documents_of(root: Path) -> tuple[str, ...]:
    """Names of the pages of docs/ that a project has."""
    return tuple(name for name in DOCUMENTS if (root / "docs" / f"{name}.md").is_file())


def further_pages(root: Path) -> tuple[str, ...]:
    """Names of the pages that a project has beside those that every one has."""
    return (*studies_of(root), *documents_of(root))


def short(title: str) -> str:
    """A title up to its colon, for lists."""
    return title.partition(":")[0]
