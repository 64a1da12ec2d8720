"""What the README says of the results: made from them, and the words around it are left alone."""

import re
import shutil

import pytest

from sizewise.base.errors import ConfigError
from sizewise.evidence.verdict import read_record
from sizewise.reports.site import readme

A_YEAR = 260.0


@pytest.fixture(scope="module")
def record(root):
    return read_record(root / "metrics" / "verdict.json")


def judged(record, **values):
    """A record of one question."""
    return {**record, "entry": None, **values}


def test_the_block_says_verdict_picture_and_what_may_be_taken(record, params):
    found = judged(record, verdict="better", effect_bps_per_day=0.5, ci_low=0.1, ci_high=0.9, mde_bps_per_day=0.3)
    text = readme.block(found, params.plan, params.arms, A_YEAR)
    assert text.startswith("**Yes, on these bars: learned sizes (ppo) earned more than ATR sizes (atr_managed)")
    assert "worth +$1,300 a year, and may be anything from +$260 to +$2,340" in text
    assert "](reports/verdict.svg)" in text


def test_an_invalid_run_has_no_line_in_the_picture(record, params):
    found = judged(record, verdict="invalid")
    assert "There is no answer" in readme.block(found, params.plan, params.arms, A_YEAR)
    assert "no answer" in readme.described(found, params.plan, A_YEAR)
    assert "<circle" not in readme.picture(found, params.plan, A_YEAR)


def places(svg: str, name: str) -> list[float]:
    return [float(value) for value in re.findall(rf'{name}="([\d.]+)"', svg)]


def test_the_picture_is_drawn_to_scale(record, params):
    found = judged(record, effect_bps_per_day=0.5, ci_low=-0.5, ci_high=1.5, mde_bps_per_day=1.0)
    svg = readme.picture(found, params.plan, A_YEAR)
    (point,) = places(svg, "cx")
    low, high = (float(value) for value in re.search(r'drawn-reach" d="M([\d.]+) [\d.]+H([\d.]+)', svg).groups())
    zero = float(re.search(r'drawn-line" d="M([\d.]+) ', svg)[1])
    assert point - zero == pytest.approx((high - zero) / 3, abs=0.2)
    assert zero - low == pytest.approx(point - zero, abs=0.2)
    band = re.search(r'drawn-band" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', svg)
    assert float(band[1]) + float(band[2]) / 2 == pytest.approx(zero, abs=0.2)
    assert float(band[2]) / 2 == pytest.approx(2 * (point - zero), abs=0.2)
    # Nothing is drawn beyond the picture.
    assert readme.LEFT <= low < high <= readme.WIDTH


def test_other_numbers_are_another_picture(record, params):
    one, other = (readme.picture(judged(record, effect_bps_per_day=value), params.plan, A_YEAR) for value in (0.1, 0.2))
    assert one != other


def test_both_questions_are_drawn(record, params):
    names = [name for name, _ in readme.questions(record, params.plan)]
    assert names == ["ppo against atr_managed", "ppo_entry against atr"]
    assert readme.picture(record, params.plan, A_YEAR).count("<circle") == 2


@pytest.mark.parametrize(("value", "step"), [(431.0, 200.0), (500.0, 500.0), (99.9, 50.0), (0.7, 0.5)])
def test_ticks_are_round(value, step):
    assert readme._round(value) == pytest.approx(step)


def test_only_the_block_is_renewed():
    text = "# a\n\n<!-- result -->\nold\n\nold\n<!-- /result -->\n\nb\n"
    assert readme.renewed(text, "new") == "# a\n\n<!-- result -->\nnew\n<!-- /result -->\n\nb\n"
    assert readme.renewed(readme.renewed(text, "new"), "new") == readme.renewed(text, "new")
    assert readme.renewed("no marks", "new") == "no marks"


@pytest.mark.parametrize("text", ["<!-- result -->\nx", "<!-- /result -->", "<!-- result -->\n<!-- /result -->\n" * 2])
def test_half_a_pair_of_marks_is_refused(text):
    with pytest.raises(ConfigError, match=r"README\.md: give it one <!-- result -->"):
        readme.renewed(text, "new")


@pytest.fixture
def project(root, tmp_path, monkeypatch):
    for name in ("dvc.yaml", "params.yaml", "metrics/verdict.json", "plots/difference_by_day.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(root / name, tmp_path / name)
    (tmp_path / "README.md").write_text("# mine\n<!-- result -->\n<!-- /result -->\nwords\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_renews_and_a_second_run_changes_nothing(project):
    assert readme.main() == 0
    text = (project / "README.md").read_text()
    assert text.startswith("# mine\n<!-- result -->\n**")
    assert text.endswith("<!-- /result -->\nwords\n")
    drawn = [(project / "reports" / f"{name}.svg").read_bytes() for name in ("verdict", "pipeline")]
    assert readme.main() == 0
    assert (project / "README.md").read_text() == text
    assert [(project / "reports" / f"{name}.svg").read_bytes() for name in ("verdict", "pipeline")] == drawn


@pytest.mark.parametrize("name", ["metrics/verdict.json", "plots/difference_by_day.csv", "README.md"])
def test_what_is_missing_is_one_line(project, capsys, name):
    (project / name).unlink()
    assert readme.main() == 2
    assert f"{name} is missing" in capsys.readouterr().err
