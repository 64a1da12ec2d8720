"""The manual: the project's README and docs/ as pages of the site, their links as they lead from there, and the API."""

import re
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from sizewise.base import lean  # noqa: F401

# isort: split

from bs4 import BeautifulSoup, Tag
from markupsafe import Markup
from nbconvert.filters.markdown import markdown2html

from sizewise.base.errors import exit_status
from sizewise.base.paths import Workspace, write_atomically
from sizewise.reports.page.contents import documents_of, further_pages
from sizewise.reports.page.render import anchor_of, environment, finished, surroundings
from sizewise.reports.site import api

FILE = "README.md"
_REPORT = re.compile(r"(?:\.\./)?reports/([\w.-]+)\.(ipynb|html)(#.*)?")
_DOCUMENT = re.compile(r"(?:docs/)?(\w+)\.md(#.*)?")


def manual(root: Path, further: Iterable[str]) -> str:
    """The README's page. Args: `root`: of the project. `further`: see render.surroundings."""
    readme = root / FILE
    text = readme.read_text(encoding="utf-8") if readme.is_file() else "# Manual\n\nThis project has no README."
    return _page("manual", text, root, further, heading="Manual: ")


def document(root: Path, name: str, further: Iterable[str]) -> str:
    """The page of docs/<name>.md. Args: see manual."""
    text = (root / "docs" / f"{name}.md").read_text(encoding="utf-8")
    return _page(name, text, root, further, folder="docs")


def _page(name: str, text: str, root: Path, further: Iterable[str], *, heading: str = "", folder: str = "") -> str:
    soup = BeautifulSoup(f'<div class="prose manual">{markdown2html(text)}</div>', "html.parser")
    # A page's title needs no link to itself.
    for link in soup.select("h1 .anchor-link"):
        link.decompose()
    for link in soup.find_all("a", href=True):
        link["href"] = led(str(link["href"]), folder)
    for image in soup.find_all("img", src=re.compile(r"\.svg$")):
        image.replace_with(_drawn(root / folder / str(image["src"]), str(image["alt"])))
    body, toc, title = finished(str(soup))
    around = surroundings(name, further)
    # What a README says is HTML by now.
    page = environment().get_template("layout.html.j2")
    return page.render(title=f"{heading}{title}", body=Markup(body), toc=toc, **around)  # noqa: S704


def _drawn(path: Path, said: str) -> Tag:
    """A picture of ours within its page, where it takes the page's colours."""
    soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
    figure = soup.new_tag("figure", attrs={"class": "drawn"})
    for picture in soup.find_all("svg"):
        picture["aria-label"] = said
        figure.append(picture)
    return figure


def led(address: str, folder: str = "") -> str:
    """Where a link of a file leads from the folder of the reports. Args: `folder`: of the file; "" is the root."""
    if re.match(r"[a-z]+:", address):
        return address
    if address.startswith("#"):
        return f"#{anchor_of(address)}"
    found = _REPORT.fullmatch(address)
    if found:
        return f"{found[1]}.html{found[3] or ''}"
    found = _DOCUMENT.fullmatch(address)
    if found and (folder or address.startswith("docs/")):
        return f"{found[1]}.html{found[2] or ''}"
    if address == f"../{FILE}" and folder:
        return "manual.html"
    return address if folder and address.startswith("../") else f"../{address}"


def pages(root: Path) -> dict[str, str]:
    """Every page of the manual, by name."""
    further = further_pages(root)
    found = {"manual": manual(root, further), "api": api.page(further)}
    return found | {name: document(root, name, further) for name in documents_of(root)}


def _write(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")


def main() -> int:
    """`python -m sizewise.reports.site.manual`: what dvc.yaml calls. Exit status 2 and one line on an error."""

    def build() -> None:
        workspace = Workspace.open()
        for name, text in pages(workspace.root).items():
            write_atomically(workspace.reports / f"{name}.html", partial(_write, text))

    return exit_status(build)


if __name__ == "__main__":
    sys.exit(main())
