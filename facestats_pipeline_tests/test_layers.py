"""The layers: each imports only downwards, no two packages need each other, and `core` knows nothing of Dagster.

Imports are read from the source, so one inside a function or under TYPE_CHECKING counts like any other.
"""

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest

import facestats_pipeline

PACKAGE = Path(facestats_pipeline.__file__).parent
NAME = PACKAGE.name
LAYERS = ("core", "io", "defs", "definitions", "collection", "app", "cli")
"""Bottom up; `app` and `cli` are one layer, of two halves that do not know each other."""


def above(layer: str) -> set[str]:
    """The modules that a layer may not import."""
    beside = {"app": "cli", "cli": "app"}.get(layer)
    upwards = LAYERS[LAYERS.index(layer) + 1 :] if beside is None else (beside,)
    return {f"{NAME}.{part}" for part in upwards}


FORBIDDEN = {
    **{layer: above(layer) for layer in LAYERS},
    "core": above("core") | {"dagster", f"{NAME}.config"},
    "io": above("io") | {"typer", "rich", "streamlit"},
    "definitions.py": above("definitions"),
    "config.py": {"dagster", *(f"{NAME}.{part}" for part in LAYERS if part != "core")},
    "collection": above("collection") | {"typer", "rich", "streamlit"},
}
del FORBIDDEN["definitions"]


@cache
def imports_of(path: Path) -> list[tuple[int, str]]:
    """(line, module) of every import, wherever in the file it is."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            found.append((node.lineno, node.module or ""))
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    return found


def sources(layer: str) -> list[Path]:
    return [PACKAGE / layer] if layer.endswith(".py") else sorted((PACKAGE / layer).rglob("*.py"))


@pytest.mark.parametrize("layer", FORBIDDEN)
def test_a_layer_imports_only_downwards(layer: str) -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)}:{line} imports {module}"
        for path in sources(layer)
        for line, module in imports_of(path)
        if any(module == name or module.startswith(name + ".") for name in FORBIDDEN[layer])
    ]
    assert wrong == []
    assert sources(layer)


def part_of(module: str) -> str:
    """A package of a layer, `core.labels`, or a module that stands in the layer itself, `core.tables`, `io.store`."""
    return ".".join(module.split(".")[1:3])


def needs(paths: list[Path]) -> dict[str, dict[str, str]]:
    """Part → each other part that it imports, with one place where it does."""
    parts = {part_of(".".join((NAME, *path.relative_to(PACKAGE).with_suffix("").parts))): path for path in paths}
    found: dict[str, dict[str, str]] = {part: {} for part in parts}
    for path in paths:
        mine = part_of(".".join((NAME, *path.relative_to(PACKAGE).with_suffix("").parts)))
        for line, module in imports_of(path):
            other = part_of(module)
            if module.startswith(f"{NAME}.") and other in parts and other != mine:
                found[mine].setdefault(other, f"{path.relative_to(PACKAGE)}:{line}")
    return found


def circle_in(graph: dict[str, dict[str, str]]) -> list[str]:
    """One circle, as the places of its imports; empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        around = error.args[1]  # each is needed by the one after it
        return [f"{graph[user][used]}: {user} needs {used}" for used, user in pairwise(around)]
    return []


def test_no_two_packages_need_each_other() -> None:
    graph = needs([path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE])
    assert {"core.labels", "core.statistics", "io.store", "defs.metadata", "collection.collection"} <= graph.keys()
    assert circle_in(graph) == []


def test_a_circle_is_found_where_it_is() -> None:
    """Also one through an import inside a function."""
    graph = needs([path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE])
    assert "core.statistics" in graph["core.attributes"]
    graph["core.statistics"]["core.attributes"] = "core/statistics/folds.py:1"
    circle = circle_in(graph)
    assert any("core.statistics needs core.attributes" in place for place in circle)
    assert "core.drawing" in graph["defs.reports"], "it is imported inside the assets alone"


def test_the_package_imports_no_tests() -> None:
    wrong = [
        path for path in PACKAGE.rglob("*.py") for _, module in imports_of(path) if module.startswith(f"{NAME}_tests")
    ]
    assert wrong == []
