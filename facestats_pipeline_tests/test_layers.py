"""The layers: each imports only downwards, and `core` knows nothing of Dagster."""

import ast
from functools import cache
from pathlib import Path

import pytest

import facestats_pipeline

PACKAGE = Path(facestats_pipeline.__file__).parent
NAME = PACKAGE.name
FORBIDDEN = {
    "core": {"dagster", *(f"{NAME}.{part}" for part in ("config", "definitions", "io", "defs", "cli", "app"))},
    "io": {f"{NAME}.{part}" for part in ("definitions", "defs", "cli", "app")},
    "defs": {f"{NAME}.{part}" for part in ("definitions", "cli", "app")},
    "config.py": {"dagster", *(f"{NAME}.{part}" for part in ("definitions", "io", "defs", "cli", "app"))},
}


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


def test_the_package_imports_no_tests() -> None:
    wrong = [
        path for path in PACKAGE.rglob("*.py") for _, module in imports_of(path) if module.startswith(f"{NAME}_tests")
    ]
    assert wrong == []
