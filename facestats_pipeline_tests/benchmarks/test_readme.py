"""The README names every benchmark, with its question, and no benchmark that is not there."""

from pathlib import Path

FOLDER = Path(__file__).parent
MODULES = {path.stem: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.py")}
BENCHMARKS = {name for name, source in MODULES.items() if '\nif __name__ == "__main__":' in source} - {"__main__"}
README = (FOLDER / "README.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in README.splitlines() if line.startswith("| ")]


def test_every_benchmark_has_one_row_with_question_command_and_duration() -> None:
    rows = [row for row in ROWS[1:] if not row[0].startswith("**")]
    assert sorted(command.strip("`").split()[0] for _, command, _ in rows) == sorted(BENCHMARKS)
    assert [question for question, _, _ in rows if not question.endswith("?")] == []
    assert {duration.split()[0] for _, _, duration in rows} <= {"seconds", "minutes", "hours"}


def test_every_module_that_benchmarks_share_is_named() -> None:
    shared = {name for name in MODULES.keys() - BENCHMARKS if not name.startswith(("__", "test_"))}
    assert shared
    assert {name for name in shared if f"`{name}`" not in README} == set()
