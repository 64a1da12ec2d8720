"""`sizewise check --causality`: functions from files and modules, one line each that passes, one line for the first leak."""

import re

import pytest

from sizewise import causality
from sizewise.base.errors import ConfigError, DataMissingError
from sizewise.causality import CausalityError
from sizewise.cli import market
from sizewise.cli.entry import main
from sizewise.params.reading import parse_section

SOURCE = """
import numpy as np
import pandas as pd

NUMBER = 3

def compute(bars):
    return pd.DataFrame({"fine": bars["close"].diff(), "peek": bars["close"].shift(-1)})

def honest(bars, window=20):
    return bars["close"].rolling(window).mean()

def two(bars, features):
    return bars

def counts(bars):
    raise KeyError("volume_usd")
"""


@pytest.fixture
def script(tmp_path, monkeypatch):
    path = tmp_path / "my_features.py"
    path.write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    return path


@pytest.fixture
def bars_file(bars, tmp_path):
    path = tmp_path / "own.parquet"
    bars[:400].to_parquet(path)
    return path


@pytest.fixture
def sessions_file(daily_bars, tmp_path):
    """Bars that are a session each: 400 of them hold what the project's own parts look back over."""
    path = tmp_path / "sessions.parquet"
    daily_bars[:400].to_parquet(path)
    return path


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    status = main(["check", *map(str, arguments)])
    out, err = capsys.readouterr()
    return status, out, err


def test_a_function_that_looks_ahead_is_told_by_its_first_row_and_column(capsys, script, bars_file):
    status, out, err = run(capsys, "--causality", f"{script}:compute", bars_file)
    assert (status, out) == (2, "")
    assert re.fullmatch(
        r"sizewise: \S+my_features\.py:compute on own\.parquet looks ahead: row 2 \(2020-01-01 02:00 UTC\), column 'peek', "
        r"is another value when the bars from row 3 on change \(poisoning\)\n",
        err,
    )


def test_an_honest_function_passes_on_every_file(capsys, script, bars_file):
    status, out, err = run(capsys, "--causality", "my_features.py:honest", bars_file, bars_file)
    assert (status, err) == (0, "")
    assert out.splitlines() == ["my_features.py:honest on own.parquet: 400 rows, 7 cuts: ok"] * 2


def test_cuts_can_be_given(capsys, script, bars_file):
    chosen = ("--cut", 90, "--cut", 200)
    _, out, _ = run(capsys, "--causality", "my_features.py:honest", *chosen, bars_file)
    assert out == "my_features.py:honest on own.parquet: 400 rows, 2 cuts: ok\n"
    status, _, err = run(capsys, "--causality", "my_features.py:honest", "--cut", 400, bars_file)
    assert status == 2
    assert "cuts [400] must lie in [1, 400)" in err
    assert run(capsys, "--cut", 5, bars_file) == (
        2,
        "",
        "sizewise: --cut is a row at which --causality cuts: give both\n",
    )


def test_modules_are_found_where_one_stands_and_where_they_are_installed(script):
    assert causality.load_function("my_features:honest").__name__ == "honest"
    assert causality.load_function("sizewise.gym.features:bar_features").__name__ == "bar_features"


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        ("nowhere.py:compute", DataMissingError, "nowhere.py is missing: check the path"),
        ("nowhere.at.all:compute", DataMissingError, "there is no module 'nowhere.at.all'"),
        ("my_features.py:other", ConfigError, "my_features.py has no function 'other'"),
        ("my_features.py:NUMBER", ConfigError, "my_features.py has no function 'NUMBER'"),
        ("my_features.py", ConfigError, "names no function: give my_features.py:compute"),
        ("my_features.py:", ConfigError, "names no function"),
        ("data/bars/own.parquet", ConfigError, "names no function"),
        ("my_features.py:two", ConfigError, r"two\(bars, features\) cannot be called with the bars alone"),
    ],
)
def test_what_is_no_function_of_bars_is_one_line(script, target, error, message):
    with pytest.raises(error, match=message) as caught:
        causality.load_function(target)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import nothing_like_it", "ModuleNotFoundError"),
        ("def f(:", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit(3)", "SystemExit"),
    ],
)
@pytest.mark.parametrize("place", ["broken_one.py", "broken_one"])
def test_a_file_that_cannot_be_imported_is_one_line(tmp_path, monkeypatch, text, said, place):
    (tmp_path / "broken_one.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=rf"broken_one.* cannot be imported: {said} \(.*\): mend it first"):
        causality.load_function(f"{place}:f")


def test_what_a_function_raises_is_named_with_it(capsys, script, bars_file):
    status, _, err = run(capsys, "--causality", "my_features.py:counts", bars_file)
    assert status == 2
    assert err.startswith("sizewise: my_features.py:counts on own.parquet: raises KeyError ('volume_usd') on all bars")
    assert len(err.splitlines()) == 1


def test_a_missing_file_of_bars(capsys, script, tmp_path):
    status, out, err = run(capsys, "--causality", "my_features.py:honest", tmp_path / "nowhere.parquet")
    assert (status, out) == (2, "")
    assert "nowhere.parquet is missing" in err


def test_the_projects_own_parts_pass(params, sessions_file):
    lines = list(causality.check_functions(causality.own_parts(params), [sessions_file]))
    assert [line.split(" ")[0] for line in lines] == ["features", "regimes", "signals", "slices"]
    assert all(line.endswith("400 rows, 7 cuts: ok") for line in lines)


def test_without_an_argument_the_project_is_checked(capsys, root, monkeypatch, sessions_file):
    monkeypatch.chdir(root)
    status, out, err = run(capsys, sessions_file, "--causality")
    assert (status, err) == (0, "")
    assert len(out.splitlines()) == 4


def test_the_first_series_is_the_default(script, root, monkeypatch, params):
    asked = []
    monkeypatch.setattr(causality, "check_functions", lambda functions, paths, cuts: asked.extend(paths) or [])
    monkeypatch.chdir(root)
    assert main(["check", "--causality", f"{script}:honest"]) == 0
    assert [path.stem for path in asked] == [params.data.symbols[0]]


def test_a_part_that_looks_ahead_is_caught(bars_file):
    peeking = {"signals": lambda bars: bars["close"].shift(-1)}
    with pytest.raises(CausalityError, match=r"^signals on own\.parquet looks ahead: row 2 "):
        list(causality.check_functions(peeking, [bars_file]))


OWN = """
import numpy as np
import sizewise as sw


class Flow(sw.Features):
    late: int = 0

    def definitions(self):
        return {"flow": "the last volume, or one that comes"}

    def values(self, bars, days):
        return {"flow": bars["volume"].shift(-self.late)}


class Up(sw.Signal):
    late: int = 0

    def direction(self, bars, days):
        return np.sign(np.nan_to_num(bars["close"].diff().shift(-self.late)))
"""


@pytest.fixture
def own_parts_of(params, tmp_path, monkeypatch, sessions_file, capsys):
    """`own_parts_of(signals={...}, observation={...})`: what the check says with these in params.yaml."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.py").write_text(OWN)
    monkeypatch.setattr("sizewise.params.own_class.project_root", lambda: tmp_path)
    monkeypatch.setattr(market, "project_root", lambda: tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "instruments.yaml").write_text("{}")

    def said(**sections) -> tuple[int, str, str]:
        named = {name: parse_section(name, values) for name, values in sections.items()}
        monkeypatch.setattr("sizewise.params.reading.read_params", lambda *_: {})
        monkeypatch.setattr("sizewise.params.reading.parse_params", lambda _: params.replace(**named))
        return run(capsys, "--causality", "--cut", 60, sessions_file)

    return said


@pytest.mark.parametrize(
    ("sections", "name", "column"),
    [
        ({"observation": {"own": {"class": "own/mine.py:Flow"}}}, "features of your own", "flow"),
        ({"signals": {"family": {"kind": "custom", "class": "own/mine.py:Up"}}}, "signal own/mine.py:Up", "direction"),
    ],
)
def test_a_signal_and_features_of_ones_own_are_poisoned_by_name(own_parts_of, sections, name, column):
    status, out, _ = own_parts_of(**sections)
    assert status == 0
    assert out.splitlines()[0] == f"{name} on sessions.parquet: 400 rows, 1 cuts: ok"
    of = next(iter(sections.values()))
    (of.get("own") or of["family"])["late"] = 1
    status, out, err = own_parts_of(**sections)
    assert (status, out) == (2, "")
    assert err.startswith(f"sizewise: {name} on sessions.parquet looks ahead: row 59")
    assert f"column '{column}'" in err


def test_a_signal_that_was_decided_elsewhere_is_said_to_be_unchecked(own_parts_of):
    status, out, _ = own_parts_of(signals={"family": {"kind": "trades", "file": "own/trades.csv"}})
    assert status == 0
    assert out.splitlines()[0] == (
        "signals: own/trades.csv was decided elsewhere, and nothing here can tell from which bars: not checked"
    )
    assert not any(line.startswith("signals on") for line in out.splitlines())
