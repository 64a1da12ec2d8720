"""What a file imports is found at any depth, through packages, and not where it is imported for types alone."""

import pytest

from sizewise.base.imports import closure, imported_files, module_file


@pytest.mark.parametrize(
    ("source", "files"),
    [
        ("from sizewise.market.bars import load_bars", {"market/bars.py"}),
        ("from sizewise.market import bars, costs as prices", {"market/bars.py", "market/costs.py"}),
        ("import sizewise.learning.ppo.update", {"learning/ppo/update.py"}),
        ("def f():\n    if True:\n        from sizewise.base import paths", {"base/paths.py"}),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from sizewise.market import bars", set()),
        ("import numpy\nfrom sizewiser.market import bars", set()),
    ],
)
def test_imports_are_read_off_the_source(source, files):
    expected = files | {"__init__.py"} if files else files
    assert imported_files(source) == expected


def test_a_closure_holds_what_is_imported_on_the_way():
    assert {"base/errors.py", "market/instruments.py", "market/bars.py"} <= closure({"market/bars.py"})
    assert "market/tape.py" not in closure({"market/bars.py"})
    # What the package itself starts with comes along.
    assert closure({"base/errors.py"}) == {"__init__.py", "base/arithmetic.py", "base/errors.py"}


def test_a_module_has_a_file():
    assert module_file("sizewise.walkforward.evaluate") == "walkforward/evaluate.py"
