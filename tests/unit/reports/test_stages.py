"""The table of stages: the graph that DVC knows, without the edges that others imply, on one screen."""

import re
import subprocess
import sys

import networkx as nx
import pytest

from sizewise.params.stage import all_stages
from sizewise.reports.stages import table, waits_for

SCREEN = 100


def test_it_fits_a_screen_and_names_every_stage_once(root):
    lines = table(root)
    assert max(map(len, lines)) <= SCREEN
    assert len(lines) < 40
    first = [line.split()[0] for line in lines if line.startswith("  ")]
    assert sorted(name for name in first if name != "stage") == sorted(all_stages(root))


def test_no_stage_stands_before_one_that_it_waits_for(root):
    waits = waits_for(all_stages(root))
    order = [line.split()[0] for line in table(root) if line.startswith("  ")]
    assert all(order.index(before) < order.index(name) for name, others in waits.items() for before in others)


def test_it_is_the_graph_that_dvc_knows(root):
    words = [sys.executable, "-m", "dvc", "dag", "--mermaid"]
    drawn = subprocess.run(words, cwd=root, capture_output=True, text=True, check=True).stdout
    names = {node: label.rpartition(":")[2] for node, label in re.findall(r'(node\d+)\["(.+)"\]', drawn)}
    graph = nx.DiGraph([(names[before], names[after]) for before, after in re.findall(r"(node\d+)-->(node\d+)", drawn)])
    # A stage that waits for none, and for which none waits, has no edge.
    graph.add_nodes_from(names.values())
    graph.remove_nodes_from([name for name in graph if name.endswith(".dvc")])
    reduced = nx.transitive_reduction(graph)
    assert {name: set(before) for name, before in waits_for(all_stages(root)).items()} == {
        name: set(reduced.predecessors(name)) for name in reduced
    }


@pytest.mark.parametrize(
    ("deps", "waits"),
    [
        (["a.json"], ["a"]),
        (["a.json", "b/part.csv"], ["b"]),
        (["a.json", "other/part.csv"], ["a", "other"]),
        (["data/bars"], []),
    ],
)
def test_what_another_waits_for_is_not_named(deps, waits):
    stages = {
        "a": {"outs": ["a.json"]},
        "b": {"deps": ["a.json"], "outs": ["b"]},
        "other": {"outs": [{"other": {"cache": False}}]},
        "last": {"deps": deps},
    }
    assert waits_for(stages)["last"] == waits
