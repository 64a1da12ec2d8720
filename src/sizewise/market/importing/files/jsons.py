"""Rows in JSON, whatever stands around them: records, lists, columns, one object a line."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sizewise.base.errors import BarError

MOST_BYTES = 1024**3
_DEPTH = 6
# One column of each: how charting servers answer.
_COLUMNAR = ({"t", "o", "h", "l", "c"}, {"open", "high", "low", "close"})


@dataclass(frozen=True)
class JsonRows:
    """names: of the columns, or None where rows are lists. columns: values of each, as parsed. around: the texts that stand
    beside the rows, such as a ticker, and the keys on the way to them."""

    names: tuple[str, ...] | None
    columns: tuple[list[Any], ...]
    around: tuple[tuple[str, str], ...]


def json_rows(content: bytes, name: str, symbol: str | None) -> JsonRows:
    """Rows of a JSON document or of one object a line.

    Args:
        symbol: which of several symbols' rows to take.
    Raises:
        BarError: no JSON, or no rows in it.
    """
    document = _parsed(content, name)
    around: list[tuple[str, str]] = []
    rows = _find(document, around, symbol, name, 0)
    if rows is None:
        raise BarError(f"{name}: no rows of bars in this JSON: give the list of bars itself")
    names, columns = rows
    return JsonRows(names, columns, tuple(around))


def _parsed(content: bytes, name: str) -> Any:
    try:
        text = content.decode("utf-8-sig")
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            lines = [line for line in text.splitlines() if line.strip()]
            if len(lines) < 2 or not lines[0].rstrip().endswith(("}", "]")):
                raise
            return [json.loads(line) for line in lines]
    except (ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise BarError(f"{name}: no readable JSON ({reason}): download it again") from None


Found = tuple[tuple[str, ...] | None, tuple[list[Any], ...]]


def _find(node: Any, around: list[tuple[str, str]], symbol: str | None, name: str, depth: int) -> Found | None:
    """The first table at or below a node, nearest first."""
    if depth > _DEPTH:
        return None
    if isinstance(node, list):
        return _table_of_list(node, name) or next(
            (found for child in node[:3] if (found := _find(child, around, symbol, name, depth + 1))), None
        )
    if not isinstance(node, dict):
        return None
    around.extend((key, value) for key, value in node.items() if isinstance(value, str) and len(value) < 40)
    found = _split(node) or _columnar(node) or _by_time(node)
    return found or _one_of(node, around, symbol, name, depth)


def _one_of(
    node: dict[str, Any], around: list[tuple[str, str]], symbol: str | None, name: str, depth: int
) -> Found | None:
    children = {key: value for key, value in node.items() if isinstance(value, list | dict) and value}
    tables = [key for key, value in children.items() if isinstance(value, list) and _table_of_list(value, name)]
    if len(tables) > 1 and symbol not in tables:
        raise BarError(f"{name}: holds {', '.join(tables[:5])}: say --symbol for the one to import")
    if symbol in tables:
        children = {str(symbol): children[str(symbol)]}
    for key, child in children.items():
        found = _find(child, around, symbol, name, depth + 1)
        if found:
            around.append(("key", key))
            return found
    return None


def _table_of_list(rows: list[Any], name: str) -> Found | None:
    if rows and all(isinstance(row, dict) for row in rows[:3]):
        records = list(_flat_records(rows, name))
        names = tuple(dict.fromkeys(key for record in records[:3] for key in record))
        if len(names) < 5:
            return None
        return names, tuple([record.get(key) for record in records] for key in names)
    if rows and all(isinstance(row, list) for row in rows[:3]) and len(rows[0]) >= 5:
        if any(isinstance(cell, list | dict) for cell in rows[0]):
            return None
        width = len(rows[0])
        for number, row in enumerate(rows):
            if not isinstance(row, list) or len(row) != width:
                raise BarError(f"{name}: row {number} is no list of {width} values: mend or remove it")
        columns = tuple(map(list, zip(*rows, strict=True)))
        if any(isinstance(cell, str) and not any(sign.isdigit() for sign in cell) for cell in rows[0]):
            return tuple(map(str, rows[0])), tuple(column[1:] for column in columns)
        return None, columns
    return None


def _flat_records(rows: Sequence[Any], name: str) -> Iterator[dict[str, Any]]:
    """Records with what is nested in them brought up; Databento keeps its times in a header `hd`."""
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise BarError(f"{name}: row {number} is no record: mend or remove it")
        nested = [value for value in row.values() if isinstance(value, dict)]
        flat = {key: value for key, value in row.items() if not isinstance(value, dict)}
        for inner in nested:
            flat = {**{key: value for key, value in inner.items() if not isinstance(value, dict | list)}, **flat}
        yield flat


def _split(node: dict[str, Any]) -> Found | None:
    """pandas' orient="split"."""
    names, data = node.get("columns"), node.get("data")
    if not (isinstance(names, list) and isinstance(data, list) and data and isinstance(data[0], list)):
        return None
    if any(not isinstance(row, list) or len(row) != len(names) for row in data):
        return None
    columns = tuple(map(list, zip(*data, strict=True)))
    index = node.get("index")
    if isinstance(index, list) and len(index) == len(data) and index[:1] != [0]:
        return ("index", *map(str, names)), (list(index), *columns)
    return tuple(map(str, names)), columns


def _columnar(node: dict[str, Any]) -> Found | None:
    """A list, or an object by row, for each column."""
    keys = {key.lower() for key in node}
    if not any(wanted <= keys for wanted in _COLUMNAR):
        return None
    lists = {key: value for key, value in node.items() if isinstance(value, list | dict) and value}
    lengths = {len(value) for value in lists.values()}
    if len(lists) < 5 - (not any(isinstance(value, list) for value in lists.values())) or len(lengths) != 1:
        return None
    if all(isinstance(value, list) for value in lists.values()):
        return tuple(lists), tuple(list(value) for value in lists.values())
    objects = [value for value in lists.values() if isinstance(value, dict)]
    index = list(objects[0])
    if len(objects) < len(lists) or any(list(value) != index for value in objects):
        return None
    columns = tuple(list(value.values()) for value in objects)
    named = any(key.lower() in ("timestamp", "time", "date", "datetime") for key in lists)
    return (tuple(lists), columns) if named else (("index", *lists), (index, *columns))


def _by_time(node: dict[str, Any]) -> Found | None:
    """An object whose keys are times and whose values are records of prices."""
    keys = list(node)
    if len(keys) < 1 or not all(key[:4].isdigit() and isinstance(node[key], dict) for key in keys):
        return None
    names = tuple(node[keys[0]])
    if len(names) < 4 or any(tuple(node[key]) != names for key in keys):
        return None
    return ("timestamp", *names), (keys, *([node[key][name] for key in keys] for name in names))
