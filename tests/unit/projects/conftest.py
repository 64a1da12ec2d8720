"""What these tests share: small files of real bars, and the folder of a study of one."""

from pathlib import Path

import pytest

from sizewise.projects import series


@pytest.fixture
def asked_of(monkeypatch):
    """What the instrument is made from, each time one is made: asset class, minutes, currency, fees."""
    asked = []
    made = series.plain_instrument

    def recorded(*answers, **others):
        asked.append(answers)
        return made(*answers, **others)

    monkeypatch.setattr(series, "plain_instrument", recorded)
    return asked


@pytest.fixture
def csv(real_bars, tmp_path):
    """`csv(name, symbol, start, stop)`: rows of a real series as a file."""

    def write(name: str, symbol: str = "AAPL_1d", start: int = 0, stop: int | None = None) -> Path:
        path = tmp_path / name
        real_bars(symbol, start, stop).to_csv(path)
        return path

    return write


@pytest.fixture
def make(csv, tmp_path, monkeypatch):
    """`make(**asked)`: the folder of a study of a share's daily bars, but for DVC's own; the caller stands beside it."""
    from sizewise.projects import folder
    from sizewise.projects.study import Asked, _make

    monkeypatch.setattr(folder, "_init_dvc", lambda root: None)
    monkeypatch.chdir(tmp_path)

    def made(**asked) -> Path:
        from sizewise.projects.budget import budget_of

        files = asked.pop("files", None) or (csv("share.csv", stop=1500),)
        wanted = Asked(tuple(files), **asked)
        _make(wanted, budget_of(wanted.minutes), wanted.folder, wanted.question(), lambda line: None)
        return wanted.folder

    return made
