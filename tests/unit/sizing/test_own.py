"""A rule or a learner of one's own: opened with its parameters, or refused in one line that names arm, place and remedy."""

import numpy as np
import pytest
import torch

from sizewise.base.errors import ActionError, ConfigError
from sizewise.params.arms import CustomArm
from sizewise.params.own_class import class_source
from sizewise.sizing.own import Learner, Rule, checked, open_own
from sizewise.sizing.sizers import Situation

from ...hand_market import make_market

FILE = """
import sizewise as sw

class Half(sw.Rule):
    share: float = 0.5
    def size(self, at):
        return self.share

class Mean(sw.Learner):
    def learn(self, trades, seed):
        return {"mean": trades["unit_return"].mean()}
    def size(self, at, learned):
        return learned["mean"]

class Unfinished(sw.Rule):
    pass

class Nothing:
    pass
"""
BROKEN = "import no_such_module\n"


@pytest.fixture(autouse=True)
def checkout(tmp_path, monkeypatch):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.py").write_text(FILE)
    (tmp_path / "own" / "broken.py").write_text(BROKEN)
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "params.yaml").write_text("data: {}\narms:\n  other: {}\n  mine: {kind: custom}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def arm(name: str = "Half", file: str = "own/mine.py", **more: object) -> CustomArm:
    return CustomArm.model_validate({"kind": "custom", "class": f"{file}:{name}", **more})


def test_a_rule_is_opened_with_its_parameters(checkout):
    rule = open_own("mine", arm(share=0.25))
    assert isinstance(rule, Rule)
    assert rule.share == 0.25
    assert class_source(arm().class_) == checkout / "own" / "mine.py"


def test_a_learner_is_opened():
    assert isinstance(open_own("mine", arm("Mean", splits=("rolling",))), Learner)


def test_a_class_of_an_installed_module_is_opened():
    with pytest.raises(ConfigError, match="is neither a sizewise"):
        open_own("mine", arm("Situation", file="sizewise.sizing.sizers"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (arm(file="own/none.py"), "there is no file own/none.py: write it"),
        (arm("Quarter"), "own/mine.py has no class 'Quarter': mend `class`"),
        (arm("Nothing"), "is neither a sizewise.Rule nor a sizewise.Learner: derive it from one"),
        (
            arm(file="own/broken.py"),
            "cannot be imported (ModuleNotFoundError: No module named 'no_such_module'): mend it",
        ),
        (arm(file="no.such.module"), "cannot be imported (ModuleNotFoundError"),
        (arm("Unfinished"), "cannot be made (Can't instantiate abstract class Unfinished"),
        (arm(shore=0.5), "refuses 'shore': Extra inputs are not permitted: mend the value"),
        (arm(share="much"), "refuses 'share': Input should be a valid number: mend the value"),
        (arm("Mean"), "learns: say on which splits, such as `splits: [rolling]`"),
        (arm(splits=("rolling",)), "is a rule, which nothing trains: remove `splits`"),
    ],
)
def test_what_cannot_be_opened_is_refused_in_one_line(given, said):
    with pytest.raises(ConfigError) as caught:
        open_own("mine", given)
    assert str(caught.value).startswith("params.yaml:4: arms.mine: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def situation(entry: tuple[bool, ...] = (True, False)) -> Situation:
    n = len(entry)
    ones = torch.ones(n, dtype=torch.float64)
    return Situation(torch.arange(n), ones, ones, ones, torch.tensor(entry), ones, ones, ones)


@pytest.mark.parametrize(
    "size", [0.5, torch.tensor([0.5, 0.1]), np.array([0.5, 0.1]), torch.tensor([0.5, float("nan")])]
)
def test_a_size_counts_at_entries(size):
    ask = checked("mine", arm(), make_market(5), lambda at: size)
    assert ask(situation()).tolist() == [0.5, 0.0]


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (
            torch.tensor([float("nan"), 0.0]),
            "with nan at .* which is no share of equity: return a finite share, 0 or more",
        ),
        (float("inf"), "with inf at"),
        (-0.1, "with -0.1 at .* which is an order against the signal"),
        (torch.zeros(3), r"with shape \(3,\) where \(2,\) is due: return one number a path"),
        (None, "return one number a path"),
        ("half", "return one number a path"),
    ],
)
def test_a_size_that_is_none_is_refused(size, said):
    ask = checked("mine", arm(), make_market(5), lambda at: size)
    with pytest.raises(ActionError, match=f"^params.yaml:4: arms.mine: own/mine.py:Half.*{said}"):
        ask(situation())
