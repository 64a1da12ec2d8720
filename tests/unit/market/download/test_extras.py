"""A library that is missing is one line that says what to install."""

import json
import tomllib

import pytest

from sizewise.base.errors import DownloadError
from sizewise.market.download.extras import optional


def test_a_library_that_is_there_is_handed_out():
    assert optional("json") is json


def test_a_missing_one_is_named_with_its_extra():
    with pytest.raises(
        DownloadError, match=r"^ccyt is not installed: run `pip install -c constraints.txt -e '.\[ccyt\]'`"
    ):
        optional("ccyt")


def test_the_extras_that_are_named_are_declared(root):
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for name in ("ccxt", "yfinance"):
        assert [wanted.split(">")[0] for wanted in extras[name]] == [name]
