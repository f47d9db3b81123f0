"""What the shell offers at Tab: commands, options, and values that this data folder has."""

import io
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from facestats_pipeline.cli import main as cli_main
from facestats_pipeline.cli.console import _Bars, _Lines, pace
from facestats_pipeline.cli.main import COMMANDS, app


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """As much of a data folder as completion reads."""
    ids = [f"{i:04x}" + "ab" * 14 for i in range(3)]
    names = ["people/anna.jpg", "people/bo b.jpg", "other.jpg"]
    folder = tmp_path / "data" / "processed" / "metadata" / "master.parquet"
    folder.mkdir(parents=True)
    inventory = pl.DataFrame({"image_id": ids, "filename": names, "state": ["ok", "ok", "removed"]})
    inventory.write_parquet(tmp_path / "data" / "processed" / "inventory.parquet")
    master = {"image_id": ids, "age": [1.0, 2.0, 3.0], "attractiveness": [1, 2, 3], "gender": ["Male"] * 3}
    pl.DataFrame(master).write_parquet(folder / "shard-00000.parquet")
    return tmp_path / "data"


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """What is offered for the last word of a line in bash."""

    def ask(*line: str) -> list[str]:
        monkeypatch.setenv("_FACESTATS_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", " ".join(("facestats", *line)))
        monkeypatch.setenv("COMP_CWORD", str(len(line)))
        with pytest.raises(SystemExit) as ended:
            app([], prog_name="facestats")
        assert ended.value.code == 0
        return [line for line in capsys.readouterr().out.splitlines() if line]

    return ask


def test_commands_are_offered_without_loading_any(offered: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    monkeypatch.setattr(cli_main, "import_module", lambda name: loaded.append(name))
    assert offered("") == list(COMMANDS)
    assert offered("s") == ["status", "score", "search"]
    assert loaded == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (("import", ""), ["fairface", "utkface", "lfw", "scut-fbp5500"]),
        (("export", ""), ["huggingface", "fiftyone", "webdataset", "csv"]),
        (("models", "p"), ["pull"]),
        (("composite", "--gender", "F"), ["Female"]),
        (("composite", "--ethnicity", "East"), ["East_Asian"]),
        (("composite", "--by", "a"), ["age"]),
        (("composite", "--where", "cons"), ["consent!=no", "consent=yes"]),
        (("run", "--encoder", "face"), ["facestats-mini"]),
    ],
)
def test_words(offered: Any, line: tuple[str, ...], expected: list[str]) -> None:
    assert offered(*line) == expected


def test_what_the_data_folder_has(offered: Any, data: Path) -> None:
    folder = ("-d", str(data))
    assert offered("lineage", *folder, "peo") == ["people/anna.jpg", "people/bo b.jpg"]
    assert offered("erase", *folder, "0001") == ["0001" + "ab" * 14]
    assert offered("erase", *folder, "other") == [], "it is no longer there"
    assert offered("composite", *folder, "--weight", "a") == ["age", "attractiveness"]
    assert offered("export", "csv", "out", *folder, "--columns", "age,g") == ["age,gender"]


def test_an_empty_or_damaged_folder_offers_nothing_and_says_nothing(offered: Any, tmp_path: Path) -> None:
    assert offered("lineage", "-d", str(tmp_path), "x") == []
    assert offered("composite", "-d", str(tmp_path), "--weight", "a") == []
    (tmp_path / "processed").mkdir()
    (tmp_path / "processed" / "inventory.parquet").write_text("no table")
    assert offered("erase", "-d", str(tmp_path), "x") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_each_shell(
    shell: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_FACESTATS_COMPLETE", f"source_{shell}")
    with pytest.raises(SystemExit) as ended:
        app([], prog_name="facestats")
    assert ended.value.code == 0
    assert "_FACESTATS_COMPLETE=complete_" + shell in capsys.readouterr().out


def test_progress_says_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    from facestats_pipeline.cli import console

    screen = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    monkeypatch.setattr(console, "err", screen)
    clock = iter([0.0, 4.0, 12.0, 20.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    lines = _Lines()
    for done in (0, 20, 60, 100):
        lines.report("Embedding", done, 100)
    assert screen.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "Embedding: 60 of 100, 5.0/s, 0:08 left, 12 s so far",
        "Embedding: 100 of 100, 5.0/s, 20 s so far",
    ]
    assert (pace(680, 10), pace(5, 10), pace(1, 30)) == ("68/s", "0.5/s", "30 s each")


def test_bars_fit_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    from facestats_pipeline.cli import console

    screen = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    monkeypatch.setattr(console, "err", screen)
    with _Bars() as bars:
        bars.say("Making gender_classifier, ethnicity_classifier and 3 more in 12 shards")
        bars.report("Preprocessing", 0, 2048)
        bars.report("Preprocessing", 1000, 2048)
        bars._progress.refresh()
    shown = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "1000 of 2048" in shown and "left" in shown and "Making gender_classifier" in shown
