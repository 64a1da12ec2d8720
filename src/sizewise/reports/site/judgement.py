"""The page of a judgement: one file without network and script, for light and dark, for a desk and a telephone."""

from pathlib import Path

from jinja2 import Environment, PackageLoader
from matplotlib import pyplot as plt

from sizewise.base.errors import WriteError
from sizewise.base.paths import write_atomically
from sizewise.evidence.judging import sentences
from sizewise.evidence.judging.findings import Pair, Terms
from sizewise.evidence.judging.judgement import Judgement
from sizewise.reports.page.style import STYLE
from sizewise.reports.site import judged_figures as figures

PAGES = Environment(autoescape=True, loader=PackageLoader("sizewise.reports.site", "."))
# What a page of ours begins with, so that nothing else is overwritten.
MARK = "<!-- sizewise judgement -->"
COLUMNS = {
    "growth_pct": "growth (%)",
    "volatility_pct": "volatility (% a year)",
    "sharpe": "Sharpe (a year)",
    "max_drawdown_pct": "max drawdown (%)",
}


def page(judged: Judgement) -> str:
    """The whole page as HTML. A caller's own style of figures stays as it is."""
    with plt.style.context(STYLE):
        return _rendered(judged)


def _rendered(judged: Judgement) -> str:
    terms = judged.terms
    table = terms.table()
    ends = "; ".join(f"{name} {row['growth_pct']:+.1f}%" for name, row in table.iterrows())
    lost = "; ".join(f"{name} {row['max_drawdown_pct']:.1f}%" for name, row in table.iterrows())
    return PAGES.get_template("judgement.html.j2").render(
        mark=MARK,
        title=" and ".join(sentences.headline(pair) for pair in judged.pairs),
        parts=[_part(terms, pair) for pair in judged.pairs],
        columns=list(COLUMNS.values()),
        rows={name: [f"{row[column]:,.2f}" for column in COLUMNS] for name, row in table.iterrows()},
        sources={curve.name: curve.source for curve in judged.curves},
        equity=figures.drawn(figures.equity_figure(terms), "equity"),
        equity_alt=f"Equity of each curve from $100,000 on; growth at the end: {ends}.",
        drawdown=figures.drawn(figures.drawdown_figure(terms), "drawdown"),
        drawdown_alt=f"Loss of each curve from its peak so far; the deepest: {lost}.",
        assumed=judged.assumed,
        cannot_say=judged.cannot_say,
        alpha=terms.alpha,
        tried=terms.tried,
    )


def _part(terms: Terms, pair: Pair) -> dict[str, object]:
    """What the page says of one comparison."""
    alone, tested = pair.comparison.primary, pair.tested
    effect, low, high, *ends = (
        terms.bps_a_day(value) for value in (alone.mean, alone.low, alone.high, tested.low, tested.high, tested.mde)
    )
    level = f"{100.0 * (1.0 - terms.alpha):.4g}%"
    rows = [
        ("difference (bps a day)", f"{effect:+.2f}"),
        (f"{level} interval", f"{low:+.2f} to {high:+.2f}"),
        ("p", f"{alone.p_value:.4f}"),
        ("smallest true difference it finds (bps a day)", f"{ends[2]:.2f}"),
    ]
    if terms.tried > 1:
        rows.append((f"interval, {terms.tried:,} variants tried", f"{ends[0]:+.2f} to {ends[1]:+.2f}"))
    if pair.p_holm != alone.p_value:
        rows.append(("p that decides, adjusted for all that was tried", f"{pair.p_holm:.4f}"))
    tests = pair.comparison.table["p_value"].dropna()
    return {
        "kind": pair.verdict,
        "headline": sentences.headline(pair),
        "question": sentences.question(terms, pair),
        "plain": sentences.plain_words(terms, pair),
        "sentence": sentences.verdict_sentence(terms, pair),
        "deflation": sentences.deflation_sentence(terms, pair),
        "rows": rows,
        "tests": {name: f"{p:.4f}" for name, p in tests.items()},
        "figure": figures.drawn(figures.difference_figure(terms, pair), f"difference {pair.candidate}"),
        "alt": figures.described(terms, pair),
    }


def write_judgement(judged: Judgement, path: str | Path) -> Path:
    """Write the page, whole or not at all.

    Raises:
        WriteError: the folder cannot be written, or another file stands there.
    """
    target = check_free(path)
    text = page(judged)
    write_atomically(target, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return target


def check_free(path: str | Path) -> Path:
    """The path, if nothing stands there but a page of this kind.

    Raises:
        WriteError: something else does.
    """
    target = Path(path)
    if target.is_dir():
        raise WriteError(f"{target} is a folder: name a file for the page, such as {target / 'judgement.html'}")
    if target.exists() and MARK.encode() not in target.read_bytes()[:200]:
        raise WriteError(f"{target} is another file and stays as it is: name another one for the page")
    return target
