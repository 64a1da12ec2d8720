"""The index page, from numbers made by hand: what stands on it, that it follows its data, what is missing is named."""

import base64
import html
import json
import re
import shutil
from dataclasses import replace

import nbformat
import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import DataMissingError
from sizewise.dataset.regimes import LABELS
from sizewise.evidence import verdict
from sizewise.evidence.questions import holm_sentence
from sizewise.ledgers.trials import TrialLedger, chain_sentence
from sizewise.params.arms import AtrArm, ConstantArm, OracleArm
from sizewise.reports.page.contents import MAIN_TITLES, STUDY_TITLES
from sizewise.reports.site import index as site

RECORD = (
    dict.fromkeys(verdict.FIELDS, 1)
    | verdict.LATER
    | {
        "verdict": "worse",
        "effect_bps_per_day": -0.75,
        "ci_low": -1.5,
        "ci_high": -0.1,
        "p_value": 0.03,
        "n_trials": 42,
        "doubts": [],
        "plan_hash": "aaaa",
        "data_hash": "bbbb",
    }
)
ARMS = {
    "ppo": ConstantArm(kind="constant", size_frac=0.2),
    "atr": AtrArm(kind="atr"),
    "constant": ConstantArm(kind="constant", size_frac=0.1),
}
NUMBERS = dict.fromkeys(site.COLUMNS, 1234.5)
SENSITIVITIES = {
    "tests": {
        "Ibragimov-Mueller": {"role": "primary", "p_value": 0.03},
        "a & b": {"role": "secondary", "p_value": 0.2},
    },
    "anchored": {"effect_bps_per_day": -0.5, "ci_low": -1.25, "ci_high": 0.25, "p_value": 0.16},
}
N_DAYS = 40

pytestmark = pytest.mark.usefixtures("drawn")


def curves(arms) -> pd.DataFrame:
    """plots/equity_by_arm.csv: each arm grows by a number of its own a day."""
    dates = pd.date_range("2020-01-01", periods=N_DAYS).strftime("%Y-%m-%d")
    day = np.arange(N_DAYS)
    rows = {"day": day, "date": dates}
    return pd.concat([pd.DataFrame({**rows, "arm": arm, "growth_pct": 0.1 * k * day}) for k, arm in enumerate(arms, 1)])


def differences() -> pd.DataFrame:
    """plots/difference_by_day.csv: two folds."""
    dates = pd.date_range("2020-01-01", periods=N_DAYS).strftime("%Y-%m-%d")
    values = np.random.default_rng(0).normal(0.0, 5.0, N_DAYS)
    fold = np.arange(N_DAYS) // (N_DAYS // 2)
    table = pd.DataFrame({"day": range(N_DAYS), "date": dates, "fold": fold, "regime": LABELS[0]})
    return table.assign(difference_bps=values)


def by_date(table: pd.DataFrame) -> pd.DataFrame:
    return table.set_index(pd.to_datetime(table["date"], utc=True))


@pytest.fixture
def found() -> site.Findings:
    return site.Findings(
        RECORD,
        dict.fromkeys(ARMS, NUMBERS),
        SENSITIVITIES,
        by_date(curves(ARMS)).pivot(columns="arm", values="growth_pct"),
        by_date(differences()),
        TrialLedger((), ""),
    )


@pytest.fixture
def plan(params):
    return params.plan.model_copy(update={"candidate": "ppo", "reference": "atr"})


@pytest.fixture
def page(plan, params):
    return lambda found, arms=ARMS: site.page(found, plan, arms, params.splits)


def images(text: str) -> list[str]:
    return re.findall(r'src="data:image/png;base64,([^"]+)"', text)


def test_the_page_says_it_all(found, page, plan):
    text = page(replace(found, studies=list(STUDY_TITLES)))
    assert verdict.headline(RECORD, "ppo", "atr") in text
    assert verdict.verdict_sentence(RECORD, "ppo", "atr") in text
    assert [base64.b64decode(image)[:4] for image in images(text)] == [b"\x89PNG"] * 2
    assert "plan aaaa, data bbbb, 42 configurations evaluated so far" in text
    for name, title in {**site.titles(plan, ARMS), **STUDY_TITLES}.items():
        assert f'<a href="{name}.html">{html.escape(title).replace("&#x27;", "&#39;")}</a>' in text
        assert f'href="{name}.ipynb"' in text
    assert not re.search(r"https?:", text)
    assert re.findall(r'<script[^>]*src="([^"]+)"', text) == ["search.js"]


def test_a_study_that_was_not_run_here_is_not_linked(found, page):
    assert "Studies</h2>" not in page(found)
    text = page(replace(found, studies=["16_assay"]))
    # In the list of all pages, and among the studies.
    assert re.findall(r'href="(0[5-9]|1\d)_\w+\.html"', text) == ["16", "16"]


def test_what_a_project_says_of_itself_stands_on_its_page_alone(found, page):
    assert 'class="note' not in page(found)
    assert '<p class="note prose">Made &lt;anew&gt;.</p>' in page(replace(found, note="Made <anew>."))


def test_the_question_is_that_of_the_arms(found, page, plan, params):
    learned = {**ARMS, "ppo": params.arms["ppo"]}
    assert site.question(plan, learned) == "Does learned position sizing beat ATR sizing?"
    assert site.titles(plan, learned) == MAIN_TITLES
    assert "<h1>Does ppo beat ATR sizing?</h1>" in page(found)
    assert site.question(plan.model_copy(update={"reference": "constant"}), ARMS) == "Does ppo beat constant?"


def test_reports_are_called_what_their_notebooks_are(root):
    for name, title in {**MAIN_TITLES, **STUDY_TITLES}.items():
        notebook = nbformat.read(root / "notebooks" / f"{name}.ipynb", as_version=4)
        assert notebook.cells[0].source.splitlines()[0] == f"# {title}"


def test_every_arm_has_its_row_in_the_order_of_the_parameters(found, page):
    summary = {arm: NUMBERS | {"sharpe": i + 0.125} for i, arm in enumerate(ARMS)}
    summary["constant"]["sharpe"] = None
    text = page(replace(found, summary=summary)).partition('<h2 id="arms">')[2].partition("</table>")[0]
    rows = re.findall(r'<tr><th scope="row">(\w+)</th>(.*?)</tr>', text)
    assert [arm for arm, _ in rows] == list(ARMS)
    column = list(site.COLUMNS).index("sharpe")
    assert [re.findall(r"<td>(.*?)</td>", cells)[column] for _, cells in rows] == ["0.12", "1.12", "-"]
    assert "<td>1,234.50</td>" in rows[0][1]
    assert re.findall(r'<th scope="col">(.*?)</th>', text) == ["arm", *site.COLUMNS.values()]


def test_every_verdict_so_far_is_told(found, page):
    before = {"date": "2026-11-20", "commit": "abcdefg", "changed": "the <first> run"}
    row = before | {"verdict": "worse", "effect_bps_per_day": -0.25, "p_value": 0.04, "n_days": 100, "n_seeds": 2}
    table = page(replace(found, history=[row])).partition('<h2 id="history">')[2].partition("</table>")[0]
    assert "1 verdicts were recorded so far" in table
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", line) for line in re.findall(r"<tr>(<td>.*?)</tr>", table)]
    assert cells[0] == ["2026-11-20", "abcdefg", "worse", "-0.25", "0.040", "100", "2", "the &lt;first&gt; run"]
    assert cells[1][:2] == ["-", "-"]
    assert cells[1][-1] == "this run; not recorded"


def test_names_are_escaped(found, page):
    arms = {"a<b": ARMS["atr"], **ARMS}
    growth = found.growth.assign(**{"a<b": 0.0})
    text = page(replace(found, summary=dict.fromkeys(arms, NUMBERS), growth=growth), arms)
    assert '<th scope="row">a&lt;b</th>' in text
    assert "a<b" not in text


def test_what_stands_beside_the_verdict_is_said_on_the_page(found, page, plan):
    tests = pd.DataFrame.from_dict(SENSITIVITIES["tests"], orient="index")
    said = re.findall(r"<li>([^<]*)</li>", page(found).partition('<h2 id="sure">')[2])
    assert [html.unescape(text) for text in said[:5]] == [
        verdict.seeds_sentence(RECORD),
        verdict.agreement_sentence(tests, plan.alpha),
        verdict.anchored_sentence(RECORD, SENSITIVITIES["anchored"], plan.alpha),
        verdict.exposure_sentence(1234.5, 1234.5, "ppo", "atr"),
        holm_sentence(RECORD),
    ]
    assert said[5].startswith(chain_sentence(TrialLedger((), "")))


def test_gates_stand_in_the_box_and_each_says_what_it_found(found, page):
    without = page(replace(found, record=RECORD | {"gates": {}}))
    assert "Gates:" not in without
    # Nor does the list of headings lead to them.
    assert "#gates" not in without
    gate = {"holds": False, "value": 3.0, "threshold": 1.0, "sentence": "It gained 3 < 4."}
    text = page(replace(found, record=RECORD | {"gates": {"budget": gate}}))
    assert '<th scope="row">gates</th><td>fail: budget</td>' in text
    assert "<li>budget: It gained 3 &lt; 4.</li>" in text


def test_marks_of_markdown_are_left_out(found, page):
    text = page(replace(found, trials=TrialLedger((), "line 3 was edited")))
    assert "<li>The trial ledger was edited: line 3 was edited. What is counted" in text


def test_an_arm_that_looks_ahead_is_named_as_a_bound_and_not_drawn(found, page):
    arms = ARMS | {"constant": OracleArm(kind="oracle_hindsight")}
    text = page(found, arms)
    assert "constant looks ahead: a bound, and no rule to trade." in text
    assert "looks ahead" not in page(found)
    assert images(text)[0] != images(page(found))[0]


def test_a_notebook_that_stopped_is_told_of_where_it_is_seen(found, page):
    text = page(replace(found, stale=["01_features & more stopped"]))
    assert "<b>Older than the last run.</b> 01_features &amp; more stopped</p>" in text
    assert text.index("01_features &amp;") < text.index('class="verdict"')
    assert "Older" not in page(found)


# It follows its data.


def test_equity_is_drawn_from_growth(found):
    top = site.equity_figure(found, list(ARMS)).axes[0]
    named = {line.get_label(): line for line in top.lines}
    for arm in ARMS:
        line = named[arm]
        np.testing.assert_allclose(line.get_ydata(), found.growth[arm], atol=1e-9)
    dotted = [line for line in top.lines if line.get_linestyle() == ":"]
    assert len(dotted) == 2


def changed(table: pd.DataFrame, name: str) -> pd.DataFrame:
    return table.assign(**{name: 2.0 * table[name]})


@pytest.mark.parametrize(
    ("part", "change", "place"),
    [("growth", lambda table: changed(table, "ppo"), 0), ("days", lambda table: changed(table, "difference_bps"), 1)],
)
def test_other_data_are_another_figure(found, page, part, change, place):
    before = images(page(found))
    after = images(page(replace(found, **{part: change(getattr(found, part))})))
    assert [old != new for old, new in zip(before, after, strict=True)] == [place == 0, place == 1]


@pytest.mark.parametrize(
    ("part", "value", "words"),
    [
        ("record", RECORD | {"verdict": "better", "effect_bps_per_day": 0.5}, "ppo beats atr"),
        (
            "sensitivities",
            SENSITIVITIES | {"anchored": RECORD},
            "the same sign as the verdict&#39;s, and it can be told",
        ),
        ("summary", dict.fromkeys(ARMS, NUMBERS | {"sharpe": -77.0}), "<td>-77.00</td>"),
    ],
)
def test_other_numbers_are_other_words(found, page, part, value, words):
    assert words not in page(found)
    assert words in page(replace(found, **{part: value}))


# The command, on a project made by hand.


@pytest.fixture
def project(root, tmp_path, monkeypatch, params):
    for name in ("dvc.yaml", "params.yaml", "tests/quick.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(root / name, tmp_path / name)
    for folder in ("metrics", "plots"):
        (tmp_path / folder).mkdir()
    summary = dict.fromkeys(params.arms, NUMBERS)
    for name, values in (("verdict", RECORD), ("walk_forward", summary), ("sensitivities", SENSITIVITIES)):
        (tmp_path / "metrics" / f"{name}.json").write_text(json.dumps(values))
    curves(params.arms).to_csv(tmp_path / "plots" / "equity_by_arm.csv", index=False)
    differences().to_csv(tmp_path / "plots" / "difference_by_day.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_writes_the_page_and_reads_no_notebook(project, capsys, params):
    """There is none in this project."""
    assert not list(project.rglob("*.ipynb"))
    assert site.main([]) == 0
    text = (project / "reports" / "index.html").read_text()
    assert [arm for arm in params.arms if f'<th scope="row">{arm}</th>' not in text] == []
    files = [project / "reports" / name for name in ("index.html", "glossary.html", "search.js")]
    first = [path.read_bytes() for path in files]
    assert site.main([]) == 0
    assert [path.read_bytes() for path in files] == first
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_the_command_tells_of_a_notebook_that_stopped(project):
    copy = project / "build" / "failed" / "02_train.ipynb"
    copy.parent.mkdir(parents=True)
    copy.write_text("{}")
    assert site.main([]) == 0
    assert "02_train stopped in its last run: its report is of" in (project / "reports" / "index.html").read_text()
    copy.unlink()
    assert site.main([]) == 0
    assert "stopped" not in (project / "reports" / "index.html").read_text()


def remove(path):
    path.unlink()


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def headless(path):
    path.write_text(path.read_text().replace("date", "when", 1))


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("metrics/verdict.json", remove, "is missing: run `dvc repro`"),
        ("metrics/verdict.json", cut, "is damaged: run `dvc repro -f compare`"),
        ("metrics/walk_forward.json", remove, "is missing: run `dvc repro`"),
        ("metrics/walk_forward.json", cut, "is damaged: run `dvc repro -f walk_forward`"),
        ("metrics/sensitivities.json", remove, "is missing: run `dvc repro`"),
        ("metrics/sensitivities.json", cut, "is damaged: run `dvc repro -f compare`"),
        ("plots/equity_by_arm.csv", remove, "is missing: run `dvc repro`"),
        ("plots/equity_by_arm.csv", headless, "is damaged: run `dvc repro -f walk_forward`"),
        ("plots/difference_by_day.csv", remove, "is missing: run `dvc repro`"),
        ("plots/difference_by_day.csv", headless, "is damaged: run `dvc repro -f compare`"),
    ],
)
def test_a_missing_part_is_one_line_and_keeps_the_old_page(project, capsys, name, spoil, message):
    index = project / "reports" / "index.html"
    index.parent.mkdir()
    index.write_text("the page of an earlier run")
    spoil(project / name)
    assert site.main([]) == 2
    captured = capsys.readouterr()
    assert captured.err == f"sizewise: {name} {message}\n"
    assert captured.out == ""
    assert index.read_text() == "the page of an earlier run"


def test_a_missing_arm_or_number_is_named(project, params):
    workspace, first = site.Workspace(project, project), next(iter(params.arms))
    with pytest.raises(
        DataMissingError, match=r"walk_forward\.json has no growth_bps_per_day of arm more: run `dvc repro`"
    ):
        site.read_findings(workspace, [*params.arms, "more"])
    path = project / "metrics" / "walk_forward.json"
    summary = json.loads(path.read_text())
    path.write_text(json.dumps(summary | {"more": NUMBERS}))
    with pytest.raises(DataMissingError, match=r"equity_by_arm\.csv has no arm more: run `dvc repro`"):
        site.read_findings(workspace, [*params.arms, "more"])
    del summary[first]["sharpe"]
    path.write_text(json.dumps(summary))
    with pytest.raises(DataMissingError, match=rf"walk_forward\.json has no sharpe of arm {first}: run `dvc repro`"):
        site.read_findings(workspace, [first])
