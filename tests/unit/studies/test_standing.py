"""A ledger stands as long as what made it and what it holds are the same."""

from sizewise.studies.standing import mark, note_of, stands

MADE = {"params": "p", "code": "c", "seeds": [1, 2]}


def test_it_stands_until_anything_is_another(tmp_path):
    folder = tmp_path / "schemes" / "bsh"
    (folder / "policies").mkdir(parents=True)
    (folder / "equity.parquet").write_bytes(b"one")
    (folder / "policies" / "a.json").write_text("{}")
    assert not stands(folder, MADE)
    mark(folder, MADE)
    assert stands(folder, MADE)
    # Nothing of it lies among the results.
    assert note_of(folder) == tmp_path / "made" / "schemes" / "bsh.json"
    assert {path.name for path in folder.rglob("*")} == {"equity.parquet", "policies", "a.json"}
    assert not stands(folder, MADE | {"code": "d"})
    (folder / "equity.parquet").write_bytes(b"two")
    assert not stands(folder, MADE)
    (folder / "equity.parquet").write_bytes(b"one")
    assert stands(folder, MADE)
    (folder / "policies" / "a.json").unlink()
    assert not stands(folder, MADE)
