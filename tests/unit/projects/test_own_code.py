"""A user's signal or rule as a file that params.yaml can name."""

import ast

import numpy as np
import pytest

from sizewise.base.errors import ConfigError
from sizewise.dataset.own.signal import Signal
from sizewise.projects.own_code import own_rule, own_signal

RULE = "import sizewise as sw\n\n\nclass HalfSize(sw.Rule):\n    def size(self, at):\n        return at.confidence\n"
SIGNAL = "import numpy as np\n\n\ndef up(bars):\n    return np.sign(bars['close'].diff().fillna(0.0).to_numpy())\n"


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(name, text):
        (tmp_path / name).write_text(text)
        return name

    return write


def test_a_rule_is_copied_as_it_is(file):
    code = own_rule(f"{file('mine.py', RULE)}:HalfSize")
    assert (code.text, code.place, code.arm) == (RULE, "own/mine.py:HalfSize", "half_size")


def test_a_function_of_bars_becomes_a_signal(file, bars):
    code = own_signal(f"{file('mine.py', SIGNAL)}:up")
    assert code.text.startswith(SIGNAL.rstrip())
    assert code.place == "own/mine.py:UpSignal"
    scope = {}
    exec(code.text, scope)
    assert issubclass(scope["UpSignal"], Signal)
    said = scope["UpSignal"]().direction(bars, None)
    np.testing.assert_array_equal(said, scope["up"](bars))
    assert set(said) == {-1.0, 0.0, 1.0}


@pytest.mark.parametrize(
    ("function", "target"), [("signal", "OwnSignal"), ("my_signal", "OwnMySignal"), ("up", "UpSignal")]
)
def test_the_class_of_a_function_has_a_name_of_its_own(tmp_path, function, target):
    path = tmp_path / "mine.py"
    path.write_text(f"def {function}(bars):\n    return bars['close'] * 0\n")
    assert own_signal(f"{path}:{function}").target == target


def test_a_class_of_a_signal_is_copied_as_it_is(file):
    text = "import sizewise as sw\n\n\nclass Up(sw.Signal):\n    pass\n"
    assert own_signal(f"{file('mine.py', text)}:Up").text == text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("mine.py", "write file.py:Name"),
        ("mine.txt:up", "write file.py:Name"),
        ("mine.py:", "write file.py:Name"),
        ("absent.py:up", "there is no file absent.py"),
        ("broken.py:up", "no valid Python, line 1"),
        ("mine.py:down", "no class or function 'down'"),
    ],
)
@pytest.mark.parametrize("read", [own_signal, own_rule])
def test_what_cannot_be_read_is_refused(file, given, said, read):
    file("mine.py", SIGNAL)
    file("broken.py", "def up(:\n")
    with pytest.raises(ConfigError, match=said) as refused:
        read(given)
    assert "\n" not in str(refused.value)


def test_a_function_is_no_rule(file):
    with pytest.raises(ConfigError, match=r"a rule is a class derived from sizewise\.Rule"):
        own_rule(f"{file('mine.py', SIGNAL)}:up")


def test_the_users_file_is_read_and_not_run(file):
    text = "raise SystemExit\n\n\ndef up(bars):\n    return bars\n"
    assert ast.parse(own_signal(f"{file('mine.py', text)}:up").text)
