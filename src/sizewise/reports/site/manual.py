"""The project's README as a page of the site, its links as they lead from there."""

import re
from collections.abc import Iterable
from pathlib import Path

from bs4 import BeautifulSoup
from markupsafe import Markup
from nbconvert.filters.markdown import markdown2html

from sizewise.reports.page.render import anchor_of, environment, finished, surroundings

FILE = "README.md"
_REPORT = re.compile(r"reports/([\w.-]+)\.(ipynb|html)")


def manual(root: Path, studies: Iterable[str]) -> str:
    """The page. Args: `root`: of the project. `studies`: names of those it has, see render.surroundings."""
    readme = root / FILE
    text = readme.read_text(encoding="utf-8") if readme.is_file() else "# Manual\n\nThis project has no README."
    soup = BeautifulSoup(f'<div class="prose manual">{markdown2html(text)}</div>', "html.parser")
    for link in soup.find_all("a", href=True):
        link["href"] = led(str(link["href"]))
    body, toc, title = finished(str(soup))
    around = surroundings("manual", studies)
    # What a README says is HTML by now.
    page = environment().get_template("layout.html.j2")
    return page.render(title=f"Manual: {title}", body=Markup(body), toc=toc, **around)  # noqa: S704


def led(address: str) -> str:
    """Where a link of a file at the root leads from the folder of the reports."""
    if re.match(r"[a-z]+:", address):
        return address
    if address.startswith("#"):
        return f"#{anchor_of(address)}"
    report = _REPORT.fullmatch(address)
    return f"{report[1]}.html" if report else f"../{address}"
