"""What several test modules need stands in a helper module: importing a test module or a conftest would run it twice."""

import re
from pathlib import Path

FOLDER = Path(__file__).parent
IMPORT = re.compile(
    rf"from {FOLDER.name}(\.\w+)*(\.test_\w+|\.conftest) import"
    rf"|from {FOLDER.name}(\.\w+)* import .*\b(test_\w+|conftest)\b"
    rf"|import {FOLDER.name}(\.\w+)*(\.test_\w+|\.conftest)\b"
)


def test_no_module_imports_from_a_test_module_or_a_conftest() -> None:
    lines = [(path, line) for path in FOLDER.rglob("*.py") for line in path.read_text(encoding="utf-8").splitlines()]
    wrong = [f"{path.relative_to(FOLDER)}: {line}" for path, line in lines if IMPORT.search(line)]
    assert wrong == []  # code in strings too, which other processes run


def test_the_pattern_finds_what_it_looks_for() -> None:
    name = FOLDER.name
    for found in (
        f"from {name}.cli.test_erase import one",
        f"    from {name}.conftest import SHARED",
        f"from {name}.cli import conftest",
        f"import {name}.core.test_reuse",
    ):
        assert IMPORT.search(found)
    assert IMPORT.search(f"from {name}.demo_collection import FACES") is None
