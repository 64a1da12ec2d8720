"""Bad input is one line and status 2; a fault of the program keeps its traceback."""

import errno

import pytest

from sizewise.base.errors import INTERRUPTED, SPACE_REMEDY, ConfigError, exit_status, space_remedy


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


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_file_that_may_not_be_touched_is_one_line(capsys, number):
    def refuse() -> None:
        raise OSError(number, "No", "/a checkout/trials.jsonl")

    assert exit_status(refuse) == 2
    said = "/a checkout/trials.jsonl cannot be used (No): give yourself the right to read and write in /a checkout"
    assert capsys.readouterr() == ("", f"sizewise: {said}, or work in a copy\n")


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No"), OSError(errno.EDQUOT, "No", "/a/b")])
def test_a_full_disk_is_one_line(capsys, error):
    def refuse() -> None:
        raise error

    assert exit_status(refuse) == 2
    assert capsys.readouterr() == ("", f"sizewise: no space is left on the disk: {SPACE_REMEDY}\n")


def test_a_full_disk_in_the_words_of_a_library_is_told_what_to_do():
    assert space_remedy("Error while serializing: No space left on device (os error 28)") == f": {SPACE_REMEDY}"
    assert space_remedy("KeyError: 'no space'") == ""


def test_an_interrupt_is_one_line(capsys):
    def stop() -> None:
        raise KeyboardInterrupt

    assert exit_status(stop) == INTERRUPTED
    said = "sizewise: interrupted: run the same command again, it keeps what was finished\n"
    assert capsys.readouterr() == ("", said)


@pytest.mark.parametrize("error", [OSError(errno.EIO, "No", "/a/b"), OSError(errno.EACCES, "No")])
def test_other_errors_of_the_system_are_not_hidden(error):
    def refuse() -> None:
        raise error

    with pytest.raises(OSError, match="No"):
        exit_status(refuse)
