"""Imported before anything that reads nbformat, so that a stage starts up to three seconds sooner.

nbformat reads jsonschema, and that a grammar of international addresses where it is installed, to check a format that no
notebook has. Where the grammar is said to be missing jsonschema leaves that one check out.
"""

import sys

sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
