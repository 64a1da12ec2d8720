"""How a result shows itself in a notebook: a title, a few facts, and what is to be said of them."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Template


@cache
def _template() -> "Template":
    # Here: who never looks at a result in a notebook need not load what draws it.
    from jinja2 import Environment, PackageLoader

    return Environment(autoescape=True, loader=PackageLoader("sizewise.base", ".")).get_template("card.html.j2")


def card(title: str, facts: Mapping[str, str] | None = None, said: Sequence[str] = ()) -> str:
    """HTML for `_repr_html_`, escaped, and legible on light and dark.

    Args:
        facts: by name, units in the name or beside the value. said: whole sentences.
    """
    return _template().render(title=title, facts=facts or {}, said=said)
