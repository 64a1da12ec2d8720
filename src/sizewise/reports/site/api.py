"""The page of the public names, `sw.*`: signatures and docstrings as the code has them."""

import inspect
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import Any

from markupsafe import Markup

import sizewise
from sizewise.reports.page.render import anchor_of, environment, surroundings

# Sections of a docstring whose lines are entries.
SECTIONS = ("Args", "Attributes", "Returns", "Raises", "Source")
_SECTION = re.compile(rf"({'|'.join(SECTIONS)}):\s*(.*)")
# `name: what it is`, of one name or of several.
_ENTRY = re.compile(r"([\w`*. ]+(?:, [\w`*. ]+)*):\s+(.*)")
# A paragraph that is named, such as `Reward: ...`.
_NAMED, BOLD = re.compile(r"^([A-Z][\w, -]{2,30}): "), r"<b>\1</b>: "


@dataclass(frozen=True)
class Entry:
    """A public name, or a method of one: how it is called, what it says of itself as HTML, and its methods."""

    name: str
    signature: str
    text: Markup
    methods: tuple["Entry", ...] = ()

    @property
    def anchor(self) -> str:
        return anchor_of(self.name)


def entries(names: Iterable[str]) -> Iterator[Entry]:
    """The public names, functions and classes, in the order given."""
    for name in names:
        what = getattr(sizewise, name)
        methods = tuple(_methods(what)) if inspect.isclass(what) else ()
        yield Entry(name, signature(what), documented(inspect.getdoc(what) or ""), methods)


def _methods(what: type) -> Iterator[Entry]:
    """What a class defines itself and says something of."""
    for name, method in vars(what).items():
        plain = method.__func__ if isinstance(method, classmethod | staticmethod) else method
        if inspect.isfunction(plain) and not name.startswith("_") and plain.__doc__:
            yield Entry(name, signature(plain), documented(inspect.getdoc(plain) or ""))


def signature(what: Any) -> str:
    """How something is called: names and defaults; types and units stand in the docstring. "" where Python knows none."""
    try:
        found = inspect.signature(what)
    except ValueError:
        return ""
    bare = [
        each.replace(annotation=inspect.Parameter.empty) for each in found.parameters.values() if each.name != "self"
    ]
    return str(found.replace(parameters=bare, return_annotation=inspect.Signature.empty))


def documented(text: str) -> Markup:
    """A docstring as HTML: paragraphs, then sections whose entries are a list of terms."""
    parts: list[str] = []
    for section, lines in groupby(_sectioned(text), key=lambda line: line[0]):
        said = [line for _, line in lines]
        parts.append(_entries(section, said) if section else _paragraphs(said))
    # Every word of it was escaped.
    return Markup("\n".join(parts))  # noqa: S704


def _sectioned(text: str) -> Iterator[tuple[str, str]]:
    """Each line with the section it stands in; what follows a section's name on its line is its first."""
    section = ""
    for line in text.splitlines():
        begins = _SECTION.fullmatch(line)
        if begins:
            section = begins[1]
            yield from [(section, begins[2])] if begins[2] else []
        else:
            # A line at the margin ends a section.
            section = section if line.startswith(" ") or not line else ""
            yield section, line


def _joined(lines: Iterable[str], margin: int) -> Iterator[str]:
    """Lines with those that go on from them, which stand further in."""
    held: list[str] = []
    for line in lines:
        if held and (not line.strip() or len(line) - len(line.lstrip()) <= margin):
            yield " ".join(held)
            held = []
        held += [line.strip()] if line.strip() else []
    if held:
        yield " ".join(held)


def _paragraphs(lines: list[str]) -> str:
    """Paragraphs end with an empty line, or where a named one begins."""
    found: list[list[str]] = [[]]
    for line in lines:
        if not line.strip() or _NAMED.match(line):
            found.append([])
        found[-1] += [line.strip()] if line.strip() else []
    said = [" ".join(part) for part in found if part]
    return "".join(f"<p>{_NAMED.sub(BOLD, _inline(part), count=1)}</p>" for part in said)


def _entries(section: str, lines: list[str]) -> str:
    margins = [len(line) - len(line.lstrip()) for line in lines if line.startswith(" ")]
    parts = [f'<p class="section">{section}</p>']
    said = _joined(lines, min(margins, default=0))
    for named, listed in groupby(map(_entry, said), key=lambda entry: entry.startswith("<dt>")):
        together = "".join(listed)
        parts.append(f'<dl class="entries">{together}</dl>' if named else together)
    return "".join(parts)


def _entry(said: str) -> str:
    found = _ENTRY.fullmatch(said)
    return f"<dt>{_inline(found[1])}</dt><dd>{_inline(found[2])}</dd>" if found else f"<p>{_inline(said)}</p>"


def _inline(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))


def page(further: Iterable[str]) -> str:
    """The page. Args: `further`: see render.surroundings."""
    found = list(entries(sizewise.__all__))
    toc = [(2, entry.anchor, entry.name) for entry in found]
    around = surroundings("api", further)
    return environment().get_template("api.html.j2").render(title="API", toc=toc, entries=found, **around)
