"""Nothing in the library computes what depends on the processor: functions known to, and orders that ties leave open."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "sizewise"
# torch's go through MKL's vector functions, which choose by the processor whatever they are asked; numpy's and math's do
# not. base.tensors has a root and logarithms that do not either.
VECTOR = {"sqrt", "log", "log2", "log10", "tan", "atan", "acos", "asin", "sqrt_", "log_", "lstsq"}
EXACT = {"np", "math", "numpy", "np.linalg"}
# numpy sorts by other instructions where there are, and leaves equal values in another order.
ORDERS = {"argsort", "argpartition", "sort_values"}


def departing(source: str) -> list[str]:
    """Calls whose result may depend on the processor, as written."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        owner, name = ast.unparse(node.func.value), node.func.attr
        if name in VECTOR and owner not in EXACT:
            found.append(f"{owner}.{name}")
        if name in ORDERS and owner != "torch":
            kind = {word.arg: ast.unparse(word.value) for word in node.keywords}.get("kind")
            several = name == "sort_values" and node.args and isinstance(node.args[0], ast.List)
            if kind != "'stable'" and not several:
                found.append(f"{owner}.{name} without kind='stable'")
    return found


@pytest.mark.parametrize(
    "path",
    sorted(set(SOURCE.rglob("*.py")) - {SOURCE / "base" / "tensors.py"}),
    ids=lambda path: str(path.relative_to(SOURCE)),
)
def test_no_call_depends_on_the_processor(path):
    assert departing(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("planted", "named"),
    [
        ("y = x.sqrt()", "x.sqrt"),
        ("y = torch.log(x)", "torch.log"),
        ("y = torch.linalg.lstsq(a, b)", "torch.linalg.lstsq"),
        ("order = np.argsort(x)", "np.argsort without kind='stable'"),
        ("rows.sort_values('time', kind='quicksort')", "rows.sort_values without kind='stable'"),
    ],
)
def test_a_planted_one_is_caught(planted, named):
    assert departing(planted) == [named]


def test_exact_ones_are_let_through():
    kept = "np.sqrt(x); math.log(2.0); x.log1p(); rows.sort_values(['a', 'b']); np.argsort(x, kind='stable')"
    assert departing(kept.replace("; ", "\n")) == []
