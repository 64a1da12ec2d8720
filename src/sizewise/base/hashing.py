"""Contents and sources as short hashes, for provenance lines and ledger keys."""

import hashlib
from functools import cache
from pathlib import Path

from sizewise.base.imports import PACKAGE, closure, module_file


def content_hash(*parts: bytes) -> str:
    """The first 16 hex digits of the SHA-256 of `parts`, for provenance lines and ledger keys."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()[:16]


def text_bytes(path: Path) -> bytes:
    """What a text file says, as bytes to hash: line ends are LF, so that a checkout with CRLF hashes alike."""
    return path.read_bytes().replace(b"\r\n", b"\n")


@cache
def code_hash(module: str) -> str:
    """Hash of a module of this package and of everything in it that it imports, directly or not.

    Args:
        module: its dotted name, such as `sizewise.walkforward.evaluate`.
    """
    return content_hash(*(text_bytes(PACKAGE / file) for file in sorted(closure({module_file(module)}))))
