"""What a source asks for is honoured, waits grow and differ, and tries are bounded."""

from datetime import UTC, datetime

import pytest

from sizewise.base.errors import DownloadError
from sizewise.base.seeding import numpy_generator
from sizewise.market.download.patience import Passing, asked_wait_s


def failing(*faults: Exception):
    """A call that raises these, one a try, and then answers."""
    left = list(faults)

    def call() -> str:
        if left:
            raise left.pop(0)
        return "answer"

    return call


def test_a_passing_fault_is_tried_again(clock):
    assert clock.patience().ask(failing(Passing("busy"), Passing("busy")), "x") == "answer"
    assert len(clock.slept) == 2
    assert clock.said[0].startswith("x: busy; next try in ")


def test_waits_double_up_to_the_longest_with_a_share_drawn_from_the_generator(clock):
    patience = clock.patience(tries=8, first_wait_s=1.0, longest_wait_s=16.0, generator=numpy_generator("waits"))
    patience.ask(failing(*[Passing("busy")] * 7), "x")
    drawn = numpy_generator("waits")
    assert clock.slept == [whole * drawn.uniform(0.5, 1.0) for whole in (1, 2, 4, 8, 16, 16, 16)]


def test_the_same_seed_waits_alike(clock):
    for _ in range(2):
        clock.patience().ask(failing(*[Passing("busy")] * 4), "x")
    assert clock.slept[:4] == clock.slept[4:]
    assert len(set(clock.slept)) == 4


def test_what_the_source_asks_for_is_waited(clock):
    clock.patience().ask(failing(Passing("slow down", wait_s=37.0)), "x")
    assert clock.slept == [37.0]


def test_tries_are_bounded(clock):
    with pytest.raises(DownloadError, match=r"^x: busy \(3 tries\): give the same command again later") as caught:
        clock.patience(tries=3).ask(failing(*[Passing("busy")] * 3), "x")
    assert "\n" not in str(caught.value)
    assert len(clock.slept) == 2


def test_a_wait_that_is_too_long_is_refused_at_once(clock):
    with pytest.raises(DownloadError, match="asks to wait 86400 s"):
        clock.patience().ask(failing(Passing("banned", wait_s=86400.0)), "x")
    assert clock.slept == []


def test_another_error_is_not_tried_again(clock):
    with pytest.raises(KeyError):
        clock.patience().ask(failing(KeyError("fault")), "x")
    assert clock.slept == []


def test_requests_keep_their_distance(clock):
    patience = clock.patience(pause_s=0.25)
    for _ in range(3):
        patience.ask(failing(), "x")
    assert clock.slept == [0.25, 0.25]
    clock.now_s += 10.0
    patience.ask(failing(), "x")
    assert clock.slept == [0.25, 0.25]


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        (None, None),
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Wed, 01 May 2024 00:01:30 GMT", 90.0),
        ("Tue, 30 Apr 2024 00:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
    ],
)
def test_retry_after_holds_seconds_or_a_date(header, wait_s):
    assert asked_wait_s(header, datetime(2024, 5, 1, tzinfo=UTC)) == wait_s
