"""Bad input is one line and status 2; a fault of the program keeps its traceback."""

import pytest

from sizewise.base.errors import ConfigError, exit_status


def test_what_works_is_silent(capsys):
    assert exit_status(lambda: 1) == 0
    assert capsys.readouterr() == ("", "")


def test_bad_input_is_one_line(capsys):
    def refuse() -> None:
        raise ConfigError("params: train.gamma is 2: lower it")

    assert exit_status(refuse) == 2
    assert capsys.readouterr() == ("", "sizewise: params: train.gamma is 2: lower it\n")


def test_a_fault_of_the_program_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        exit_status(lambda: 1 // 0)
