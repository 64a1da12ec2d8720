"""The sealed slice: what params seal, and what every report says of it."""

import pytest

from sizewise.base.errors import ConfigError
from sizewise.ledgers.trials import Seal, seal_of, seal_sentence

NAME = "The sealed slice (2023-01-01 to 2024-01-02, the end not included)"


def opening(number: int = 1, plan: str = "aaaa", start: str = "2023-01-01", end: str = "2024-01-02") -> dict:
    return {"kind": "opening", "number": number, "plan_hash": plan, "start": start, "end": end}


def test_the_seal_is_what_params_say(params):
    assert seal_of(params.splits) == Seal("2023-01-01", "2024-01-02")


def test_without_a_seal_there_is_nothing_to_open(params):
    unsealed = params.splits.model_copy(update={"sealed_end": None})
    with pytest.raises(
        ConfigError, match=r"^splits\.sealed_end is not set: no slice is sealed; set it to a date after"
    ):
        seal_of(unsealed)
    assert seal_sentence([], unsealed).startswith("No slice of the bars is sealed")


@pytest.mark.parametrize(
    ("trials", "expected"),
    [
        ([], f"{NAME} has not been opened."),
        ([{"kind": "evaluation"}], f"{NAME} has not been opened."),
        ([opening(start="2022-01-01", end="2023-01-01")], f"{NAME} has not been opened."),
        ([opening()], f"{NAME} was opened once, under plan aaaa: its result stands, and cannot be had again."),
        (
            [opening(), opening(2, "bbbb")],
            f"**{NAME} was opened 2 times** (plans aaaa, bbbb): only the first result was",
        ),
    ],
    ids=["fresh", "evaluated", "another slice", "once", "twice"],
)
def test_what_a_report_says(params, trials, expected):
    assert seal_sentence(trials, params.splits).startswith(expected)
