"""The manual's own closed trades, as they are printed there: they teach, at closes alone, and are kept."""

import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def printed() -> str:
    """The code between the page's markers."""
    (section,) = re.findall(
        r"<!-- own-closes -->(.*?)<!-- /own-closes -->", (ROOT / "docs" / "own.md").read_text(), re.DOTALL
    )
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    return code


@pytest.fixture(scope="module")
def names(tmp_path_factory) -> dict[str, Any]:
    """What the code leaves behind when it is run from a checkout, as a reader would."""
    place = tmp_path_factory.mktemp("checkout")
    (place / "data").symlink_to(ROOT / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        found: dict[str, Any] = {}
        exec(compile(printed(), "own.md", "exec"), found)
    return found


def test_every_close_taught_by_its_share_and_what_is_open_was_kept(names):
    table = names["learner"].table
    assert table.updates == len(names["closes"]) + 1 == 4
    assert table.visits.sum() == 2.5
    assert [(outcome["decision_id"], outcome["share"]) for outcome in table.outcomes] == [
        ("a", 0.5),
        ("a", 0.5),
        ("b", 1.0),
        ("c", 0.5),
    ]
    assert {name: taken.left for name, taken in table.open.items()} == {"c": 0.5}
    assert 0.0 < names["choice"].size_frac <= 0.2
