"""What the search of the site looks through: the sections of all pages, in one file that stands beside them."""

import json
from collections.abc import Iterator
from pathlib import Path

from bs4 import BeautifulSoup, Tag

from sizewise.base.paths import write_atomically

FILE = "search.js"
# A section's words beyond these are not looked through: a search finds what a section is about.
MOST_LETTERS = 1500
HEADINGS = ("h1", "h2", "h3")
PROSE = ("p", "li", "dt", "dd")


def sections(page: Path) -> Iterator[tuple[str, str, str, str, str]]:
    """(page, its title, anchor, heading, prose) of each section of a rendered page; the first has no anchor of its own."""
    main = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser").main
    title, anchor, heading, words = "", "", "", list[str]()
    for part in main.find_all([*HEADINGS, *PROSE]) if isinstance(main, Tag) else []:
        said = " ".join(part.get_text().removesuffix("¶").split())
        if part.name not in HEADINGS:
            # What a list item holds in a paragraph is the paragraph's.
            words += [said] if said and part.find(PROSE) is None else []
            continue
        if title and (words or heading):
            yield page.stem, title, anchor, heading, " ".join(words)[:MOST_LETTERS]
        title, anchor, heading, words = (
            (said, "", "", []) if part.name == "h1" else (title, str(part.get("id", "")), said, [])
        )
    if title:
        yield page.stem, title, anchor, heading, " ".join(words)[:MOST_LETTERS]


def write_search(pages: list[Path], target: Path) -> None:
    """Write the file of the search over pages, in the order given."""
    found = [section for page in pages for section in sections(page)]
    text = f"sizewiseSearch({json.dumps(found, ensure_ascii=False, separators=(',', ':'))});\n"
    write_atomically(target, lambda path: path.write_text(text, encoding="utf-8"))
