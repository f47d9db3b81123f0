"""Which distributions the code imports, and which pyproject.toml declares: the first are declared, the second are used."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from facestats_pipeline.config import PROJECT_ROOT

CODE = ("facestats_pipeline", "facestats_pipeline_tests", "docs")
DISTRIBUTIONS = {
    "PIL": "pillow",
    "_pytest": "pytest",
    "cv2": "opencv-python-headless",
    "open_clip": "open-clip-torch",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
"""Top-level module → distribution, where the names differ."""
NOT_IMPORTED = {
    "adlfs": "fsspec finds it by the scheme az://",
    "dagster-celery": "named by deploy/celery/dagster.yaml",
    "dagster-dg-cli": "the command `dg`, for whoever works on the project",
    "dagster-postgres": "named by deploy/postgres/dagster.yaml",
    "dagster-ray": "named by deploy/ray/dagster.yaml",
    "dagster-webserver": "`facestats ui` starts it",
    "gcsfs": "fsspec finds it by the scheme gs://",
    "mypy": "a command of `make lint`",
    "pre-commit": "a command, for whoever works on the project",
    "pytest-timeout": "a plugin of pytest",
    "pytest-xdist": "a plugin of pytest",
    "ray": "dagster-ray starts runs on its cluster",
    "ruff": "a command of `make lint`",
    "torchvision": "open_clip imports it",
    "types-pyyaml": "types for mypy",
}
"""Declared distributions that no module imports, and what they are for."""


@cache
def imported(folder: str) -> dict[str, str]:
    """Distributions that the modules of a folder import, lazily too → one of the modules."""
    found: dict[str, str] = {}
    for path in sorted((PROJECT_ROOT / folder).rglob("*.py")):
        for name in _modules(path):
            top = name.partition(".")[0]
            if top not in sys.stdlib_module_names and top not in CODE:
                found.setdefault(canonicalize_name(DISTRIBUTIONS.get(top, top)), str(path.relative_to(PROJECT_ROOT)))
    return found


def declared() -> tuple[set[str], set[str]]:
    """Distributions that pyproject.toml declares: (for users: base and extras but dev and bench, for dev and bench)."""
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    ours = [lines for name, lines in extras.items() if name in ("dev", "bench")]
    theirs = [project["dependencies"], *(lines for name, lines in extras.items() if name not in ("dev", "bench"))]
    users, developers = (
        {canonicalize_name(Requirement(line).name) for lines in groups for line in lines} for groups in (theirs, ours)
    )
    return users, developers - {canonicalize_name(project["name"])}


def _modules(path: Path) -> Iterator[str]:
    """Absolute names in the import statements of a module, and in `pytest.importorskip`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "importorskip":
            yield from (str(value.value) for value in node.args if isinstance(value, ast.Constant))
