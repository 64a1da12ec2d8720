"""Cross-validated selection against plain loops, with ties, clones and configurations that do not trade."""

from itertools import combinations

import numpy as np
import pytest

from sizewise.evidence.statistics import selection
from sizewise.evidence.statistics.selection import cross_validated_selection


def plain_sharpe(values: np.ndarray) -> float:
    return 0.0 if values.max() == values.min() else float(values.mean() / values.std(ddof=1))


def plain_selection(matrix: np.ndarray, blocks: int) -> list[tuple[int, float, float, float]]:
    """(chosen, inside, outside, logit) a split."""
    days, configurations = matrix.shape
    block_of = np.concatenate([np.full(len(part), i) for i, part in enumerate(np.array_split(np.arange(days), blocks))])
    rows = []
    for out in combinations(range(blocks), blocks // 2):
        beyond = np.isin(block_of, out)
        inside = [plain_sharpe(matrix[~beyond, c]) for c in range(configurations)]
        outside = [plain_sharpe(matrix[beyond, c]) for c in range(configurations)]
        best = inside.index(max(inside))
        # Mean of the places that equal results share.
        places = [place + 1 for place, value in enumerate(sorted(outside)) if value == outside[best]]
        w = float(np.mean(places)) / (configurations + 1)
        rows.append((best, inside[best], outside[best], float(np.log(w / (1 - w)))))
    return rows


def planted() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(7)
    plain = rng.normal(0.0002, 0.01, (101, 5))
    idle = plain.copy()
    idle[:, [1, 4]] = 0.0
    idle[:50, 2] = 0.0
    clones = plain[:, [0, 1, 1, 2, 0]]
    # Losers all: cash wins everywhere, twice.
    cash = np.column_stack([plain[:, :3] - 0.02, np.zeros((101, 2))])
    far = plain + np.array([0.0, 1e3, 0.0, -5.0, 0.0])
    return {"plain": plain, "idle": idle, "clones": clones, "cash": cash, "far from zero": far}


@pytest.mark.parametrize("name", planted())
@pytest.mark.parametrize("chunk", [7, 20_000])
def test_every_split_is_the_plain_loops(monkeypatch, name, chunk):
    monkeypatch.setattr(selection, "CHUNK", chunk)
    matrix = planted()[name]
    found = cross_validated_selection(matrix, blocks=6)
    chosen, inside, outside, logits = (np.array(column) for column in zip(*plain_selection(matrix, 6), strict=True))
    np.testing.assert_array_equal(found.chosen, chosen)
    np.testing.assert_allclose(found.inside, inside, rtol=1e-9)
    np.testing.assert_allclose(found.outside, outside, rtol=1e-9)
    np.testing.assert_allclose(found.logits, logits, rtol=0, atol=1e-12)
