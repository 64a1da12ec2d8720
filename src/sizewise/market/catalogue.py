"""Which series there are and where: the bundled ones in data/, your own in data/own/, as one catalogue.

A folder such as `data` is a home: it holds `bars/` and `instruments.yaml`, and a folder `own` that holds the same.
"""

from pathlib import Path

from sizewise.base.errors import InstrumentError
from sizewise.market.instruments import Instrument, load_instruments

OWN, BARS, CATALOGUE = "own", "bars", "instruments.yaml"
# Where a series is stored anew, and nothing else is touched.
IMPORT = "`sizewise import`"
# Nothing in it names --force: DVC would delete what else lies in the folder that it restores.
BUNDLED_REMEDY = "run `dvc pull data.dvc`"


def bars_path(root: Path, symbol: str) -> Path:
    """Where the bars of a symbol lie, or would lie if they were there.

    Args:
        root: the checkout, or the folder of a study of one's own.
    Raises:
        InstrumentError: they lie in data/bars and in data/own/bars.
    """
    return bars_in(root / "data", symbol)


def read_catalogue(root: Path) -> dict[str, Instrument]:
    """Every instrument, bundled and own, by symbol; either file may be absent.

    Raises:
        DataMissingError: both are absent. InstrumentError: see load_instruments; or a symbol stands in both.
    """
    return instruments_in(root / "data")


def bars_in(home: Path, symbol: str) -> Path:
    """See bars_path, of a home."""
    own, bundled = home / OWN / BARS / f"{symbol}.parquet", home / BARS / f"{symbol}.parquet"
    if own.is_file() and bundled.is_file():
        raise InstrumentError(_twice(symbol, "bars"))
    return own if own.is_file() or symbol in own_instruments(home) else bundled


def instruments_in(home: Path) -> dict[str, Instrument]:
    """See read_catalogue, of a home."""
    own, bundled = own_instruments(home), home / CATALOGUE
    known = load_instruments(bundled) if bundled.is_file() or not own else {}
    for symbol in own:
        if symbol in known:
            raise InstrumentError(_twice(symbol, CATALOGUE))
    return known | own


def own_instruments(home: Path) -> dict[str, Instrument]:
    """The instruments of data/own alone; none where it has no instruments.yaml."""
    path = home / OWN / CATALOGUE
    return load_instruments(path) if path.is_file() else {}


def _twice(symbol: str, what: str) -> str:
    return (
        f"symbol '{symbol}' stands in data/{what} and in data/{OWN}/{what}: give your own another name, in "
        f"data/{OWN}/{BARS} and data/{OWN}/{CATALOGUE}"
    )


def instruments_beside(bars: Path) -> dict[str, Instrument]:
    """The catalogue that goes with a file of bars: of the home that it lies in, of the folder above it otherwise.

    Raises:
        InstrumentError: see read_catalogue.
    """
    above = bars.parent.parent
    home = above.parent if is_own(bars) else above
    if (home / OWN / CATALOGUE).is_file():
        return instruments_in(home)
    return load_instruments(above / CATALOGUE) if (above / CATALOGUE).is_file() else {}


def is_own(bars: Path) -> bool:
    """Whether a file of bars lies in data/own/bars."""
    return bars.resolve().parts[-3:-1] == (OWN, BARS)


def missing_remedy(bars: Path) -> str:
    """What to do where a file of bars is missing; it harms no file that is there."""
    if is_own(bars):
        return f"run `dvc pull data/{OWN}/{BARS}/{bars.name}` if you track it with DVC, or store it again with {IMPORT}"
    return f"{BUNDLED_REMEDY}, or check the path"


def unreadable_remedy(bars: Path) -> str:
    """The same where a file of bars cannot be read."""
    if is_own(bars):
        return (
            f"move it away, then run `dvc pull data/{OWN}/{BARS}/{bars.name}` to restore it from your remote, or store it "
            f"again with {IMPORT}"
        )
    return (
        f"make the file again, or move it away and {BUNDLED_REMEDY} if the series is a bundled one; bars of your own belong "
        f"into data/{OWN}, see README.md there"
    )
