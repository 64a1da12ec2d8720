"""Memory that nothing uses goes back."""

import sys

import numpy as np
import psutil
import pytest

from sizewise.base import memory


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other C libraries have no malloc_trim")
def test_what_is_freed_between_what_is_kept_goes_back():
    """Arrays below the size that the system is asked for one by one, every other one of which is kept."""
    process, kept = psutil.Process(), []
    for _ in range(4000):
        np.ones(8000)
        kept += [np.ones(8000), np.ones(100)]
    held = process.memory_info().rss
    del kept[::2]
    before = process.memory_info().rss
    memory.give_back()
    after = process.memory_info().rss
    assert after < before
    assert held - after > 100e6


def test_where_the_library_cannot_be_asked_nothing_happens(monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: object())
    memory.give_back()


def test_another_system_is_not_asked(monkeypatch):
    monkeypatch.setattr(memory.sys, "platform", "win32")
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: pytest.fail("asked"))
    memory.give_back()
