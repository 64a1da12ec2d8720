"""Whole numbers as letters: variable-length quantities in base 64, as source maps have them (ECMA-426).

Five bits a letter, lowest first, the sixth says that more follow; the lowest bit of all is the sign. Small numbers, such as
the steps of a series from day to day, take one letter or two, and no comma stands between them.
"""

from collections.abc import Iterable
from functools import lru_cache
from string import ascii_lowercase, ascii_uppercase, digits

import numpy as np

ALPHABET = f"{ascii_uppercase}{ascii_lowercase}{digits}+/"
_BITS, _MORE = 5, 32


def letters(values: Iterable[int]) -> str:
    """The letters of whole numbers, in order."""
    return "".join(map(_letters, values))


def steps(values: np.ndarray) -> str:
    """The letters of a series: its first value, then each step to the next. Args: `values`: int64, shape (n,)."""
    return letters(np.diff(values, prepend=0).tolist())


@lru_cache(maxsize=1 << 16)
def _letters(value: int) -> str:
    rest, found = (abs(value) << 1) | (value < 0), ""
    while True:
        digit, rest = rest % _MORE, rest >> _BITS
        found += ALPHABET[digit | (_MORE if rest else 0)]
        if not rest:
            return found


def numbers(text: str) -> list[int]:
    """What `letters` were made of; the page's script reads them in the same way.

    Raises:
        ValueError: a letter of another alphabet, or the text ends inside a number.
    """
    found, value, shift = list[int](), 0, 0
    for letter in text:
        digit = ALPHABET.index(letter)
        value |= (digit % _MORE) << shift
        shift += _BITS
        if digit < _MORE:
            found.append(-(value >> 1) if value & 1 else value >> 1)
            value = shift = 0
    if shift:
        raise ValueError(f"'{text[-8:]}' ends inside a number")
    return found
