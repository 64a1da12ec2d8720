"""An executed notebook as a page of the site: one file that needs no network, with its place among the other reports.

nbconvert renders the cells by a template of our own (report.html.j2); what it leaves is finished here: tables that scroll
inside themselves, words that explain themselves, a description of each figure, a table of contents. Style and script are in
each page (20 kB), so that a page can be sent to somebody; only the search needs the file that stands beside them.
"""

import ast
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sizewise.base import lean  # noqa: F401

# isort: split

import nbformat
from bs4 import BeautifulSoup, Tag
from jinja2 import ChoiceLoader, Environment, PackageLoader
from markupsafe import Markup
from nbconvert import HTMLExporter

from sizewise.base.paths import project_root, write_atomically
from sizewise.reports.page.contents import (
    DOCUMENTS,
    MANUAL,
    REPORT_TITLES,
    STUDY_TITLES,
    TRADED,
    TRADES,
    TRADES_TITLE,
    further_pages,
    short,
)
from sizewise.reports.page.glossary import AMBIGUOUS, GLOSSARY

FOLDER = Path(__file__).parent
# Words as long as these are prose, and may break.
PROSE_LENGTH = 24
# A number, alone or with its unit, in a table; and what pandas writes where there is none.
_NUMBER = re.compile(r"<?[-+]?\$?[\d,]*\.?\d+(e[-+]?\d+)?%?|-?")
MISSING = ("NaN", "NaT", "None", "<NA>", "nan")
# Nothing in these is looked through for words to explain.
SKIPPED = ("a", "code", "pre", "h1", "h2", "h3", "h4", "table", "summary", "script", "style", "button")


def environment(extending: str = "sizewise.reports.site") -> Environment:
    """Templates of the pages, and those of the package that extends them."""
    packages = ("sizewise.reports.page", extending)
    return Environment(autoescape=True, loader=ChoiceLoader([PackageLoader(name, ".") for name in packages]))


def surroundings(here: str, further: Iterable[str]) -> dict[str, Any]:
    """What every page shows around its text.

    Args:
        here: the page's name. further: names of the pages that the project has beside those that every one has, see
            contents.further_pages.
    """
    studies, documents = (
        {name: titles[name] for name in further if name in titles} for titles in (STUDY_TITLES, DOCUMENTS)
    )
    first, *last = MANUAL.items()
    groups = {"Reports": REPORT_TITLES, "Studies": studies, "Manual": dict([first, *documents.items(), *last])}
    contents = [
        (group, [(name, short(title)) for name, title in titles.items()]) for group, titles in groups.items() if titles
    ]
    order = [("index", "The answer"), *(page for _, pages in contents for page in pages)]
    at = next((i for i, (name, _) in enumerate(order) if name == here), None)
    return {
        "here": here,
        "contents": contents,
        "before": order[at - 1] if at else None,
        "after": order[at + 1] if at is not None and at + 1 < len(order) else None,
        "traded": (TRADES, TRADES_TITLE) if here in TRADED else None,
        "css": _asset("site.css"),
        "script": _asset("site.js"),
    }


def _asset(name: str) -> Markup:
    # Written here, and no user's words.
    return Markup((FOLDER / name).read_text(encoding="utf-8").strip())  # noqa: S704


def render(executed: Path, target: Path, further: Iterable[str] = ()) -> None:
    """Render an executed notebook to its page. Args: `further`: see surroundings."""
    body, toc, title = finished(_cells(nbformat.read(executed, as_version=4)))
    page = environment().get_template("layout.html.j2")
    around = surroundings(executed.stem, further)
    # What a notebook shows is HTML already.
    text = page.render(title=title, body=Markup(body), toc=toc, **around)  # noqa: S704
    write_atomically(target, lambda path: path.write_text(text, encoding="utf-8"))


def _cells(notebook: Any) -> str:
    exporter = HTMLExporter(template_file="report.html.j2", extra_template_paths=[str(FOLDER)])
    body, _ = exporter.from_notebook_node(notebook, {"parameters": list(parameters_of(notebook))})
    return str(body)


def finished(body: str) -> tuple[str, list[tuple[int, str, str]], str]:
    """HTML of a page's text, made fit for the site; its table of contents (level, anchor, text), and its title."""
    soup = BeautifulSoup(body, "html.parser")
    title = soup.h1.get_text().removesuffix("¶") if soup.h1 else "Report"
    toc = list(_contents(soup))
    for table in soup.find_all("table"):
        _finish_table(soup, table)
    # What scrolls is reached with a keyboard, and is told apart by its name.
    for region, name in _named(soup.select("div.scroll"), "Table"):
        region["aria-label"] = name
    for code in soup.select("pre:not(.said)"):
        code["tabindex"] = "0"
    # A figure that does not describe itself is named by the heading it stands under.
    for image, name in _named(soup.select("img:not([alt]), img[alt='']"), "Figure"):
        image["alt"] = name
    _explain(soup)
    return str(soup), toc, title


def parameters_of(notebook: Any) -> Iterator[tuple[str, str]]:
    """(dotted name, value) of every parameter that the run was given."""
    for cell in notebook.cells:
        if "injected-parameters" not in cell.metadata.get("tags", []):
            continue
        for statement in ast.parse(cell.source).body:
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                yield from _leaves("", ast.literal_eval(statement.value), statement.targets[0].id)


def _leaves(prefix: str, value: Any, name: str) -> Iterator[tuple[str, str]]:
    place = name if not prefix else f"{prefix}.{name}"
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves("" if place == "params" else place, inner, str(key))
    else:
        yield place, "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _contents(soup: BeautifulSoup) -> Iterator[tuple[int, str, str]]:
    """(level, anchor, text) of the headings below the title, whose anchors are made unique."""
    seen: dict[str, int] = {}
    for heading in soup.find_all(["h2", "h3"]):
        link = heading.find("a", class_="anchor-link")
        text = heading.get_text().removesuffix("¶").strip()
        anchor = anchor_of(text)
        seen[anchor] = seen.get(anchor, 0) + 1
        anchor += f"-{seen[anchor]}" if seen[anchor] > 1 else ""
        heading["id"] = anchor
        if isinstance(link, Tag):
            link["href"] = f"#{anchor}"
            link["aria-label"] = f"Link to {text}"
        yield int(heading.name[1]), anchor, text


def anchor_of(text: str) -> str:
    """A heading as a part of an address."""
    plain = unicodedata.normalize("NFKD", text.lower()).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "section"


def _finish_table(soup: BeautifulSoup, table: Tag) -> None:
    if table.find_parent("details", class_="parameters"):
        return
    for name in ("border", "style", "class"):
        table.attrs.pop(name, None)
    for row in table.find_all("tr"):
        row.attrs.pop("style", None)
    _join_head(table)
    _drop_count(table)
    for cell in table.select("thead th"):
        cell["scope"] = "col"
    for cell in table.select("tbody th"):
        cell["scope"] = "row"
    _left_words(table)
    # The head of nothing is no head.
    for cell in [cell for cell in table.select("thead th") if not cell.get_text(strip=True)]:
        cell.name = "td"
        del cell["scope"]
    holder = soup.new_tag("div", attrs={"class": "scroll", "tabindex": "0", "role": "region"})
    table.wrap(holder)


def _left_words(table: Tag) -> None:
    """Columns of words stand at the left, their heads with them, and sentences may break; numbers stay at the right."""
    rows = [row.find_all(["th", "td"]) for row in table.select("tbody tr")]
    width = max(map(len, rows), default=0)
    words, prose = set(), set()
    for row in rows:
        # A name that stands for several rows is a cell of the first of them alone.
        for i, cell in enumerate(row, width - len(row)):
            said = cell.get_text(strip=True)
            if said in MISSING:
                cell.string = "-"
            elif not _NUMBER.fullmatch(said):
                words.add(i)
                prose |= {i} if len(said) > PROSE_LENGTH else set()
    heads = [row.find_all("th") for row in table.select("thead tr")]
    for row in (*rows, *(row for row in heads if len(row) == width)):
        for i, cell in enumerate(row, width - len(row)):
            if i in words:
                cell["class"] = "text" if i in prose else "name"


def _drop_count(table: Tag) -> None:
    """Rows that pandas counts for want of a name need no column that says so."""
    rows, heads = table.select("tbody tr"), table.select("thead tr")
    firsts = [row.find("th") for row in rows]
    counted = [first is not None and first.get_text(strip=True) == str(i) for i, first in enumerate(firsts)]
    blank = len(heads) == 1 and (head := heads[0].find("th")) is not None and not head.get_text(strip=True)
    if not (rows and blank and all(counted)) or any(len(row.find_all("th")) != 1 for row in rows):
        return
    for cell in (head, *firsts):
        if cell is not None:
            cell.decompose()


def _join_head(table: Tag) -> None:
    """pandas names the index in a row of its own, below that of the columns: one row says both."""
    rows = table.select("thead tr")
    if len(rows) < 2:
        return
    names, last = rows[-1].find_all("th"), rows[-2].find_all("th")
    said = [cell.get_text(strip=True) for cell in names]
    width = next((i for i, text in enumerate(said) if not text), len(said))
    blank = all(not cell.get_text(strip=True) or i == width - 1 for i, cell in enumerate(last[:width]))
    if len(names) != len(last) or any(said[width:]) or not blank:
        return
    for cell, text in zip(last[:width], said, strict=False):
        cell.string = text
    rows[-1].decompose()


def _named(parts: Iterable[Tag], kind: str) -> Iterator[tuple[Tag, str]]:
    """Each part with a name of its own, by the heading it stands under: `Table 2 of the section: Costs`."""
    counts: dict[str, int] = {}
    for part in parts:
        heading = part.find_previous(["h1", "h2", "h3"])
        under = heading.get_text().removesuffix("¶").strip() if heading else "this report"
        counts[under] = counts.get(under, 0) + 1
        number = f" {counts[under]}" if counts[under] > 1 else ""
        yield part, f"{kind}{number} of the section: {under}"


_WORDS = re.compile(
    r"(?<![\w-])("
    + "|".join(sorted(map(re.escape, GLOSSARY.keys() - set(AMBIGUOUS)), key=lambda word: (-len(word), word)))
    + r")(s?)(?![\w-])"
)


def _explain(soup: BeautifulSoup) -> None:
    """Link the first use of each word of the glossary in prose; hovering over it says what it means."""
    known: set[str] = set()
    for text in soup.find_all(string=_WORDS):
        if text.find_parent(SKIPPED) or not text.find_parent(["p", "li"]):
            continue
        parts, done = [], 0
        for match in _WORDS.finditer(text):
            word = match[1]
            if word in known:
                continue
            known.add(word)
            parts.append(text[done : match.start()])
            link = soup.new_tag(
                "a", attrs={"class": "term", "href": f"glossary.html#{anchor_of(word)}", "title": GLOSSARY[word]}
            )
            link.string = match[0]
            parts.append(link)
            done = match.end()
        if parts:
            text.replace_with(*parts, text[done:])


def main() -> int:
    """`python -m sizewise.reports.page.render`: every page of a project again, from its executed notebooks."""
    root = project_root()
    for executed in sorted((root / "reports").glob("[0-9]*.ipynb")):
        render(executed, executed.with_suffix(".html"), further_pages(root))
    return 0


if __name__ == "__main__":
    sys.exit(main())
