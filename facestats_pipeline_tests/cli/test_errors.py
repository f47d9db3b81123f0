"""What a user can get wrong: one message that names it and the next step, exit code 1, no traceback, nothing changed."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from facestats_pipeline.cli.main import COMMANDS, main
from facestats_pipeline.collection.run import prepare
from facestats_pipeline.config import leaves, variable

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """Runs the command in this process, in an empty folder: exit code, output, errors; each with single spaces."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*args: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(each) for each in args])
        out, err = capsys.readouterr()
        code = ended.value.code
        return (code if isinstance(code, int) else 0 if code is None else 1), out, " ".join(err.split())

    return run


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


def test_a_raw_folder_that_is_not_there(call: Call, tmp_path: Path) -> None:
    code, out, err = call("run", "--raw", "nowhere", "--data-dir", "data")
    assert (code, out) == (1, "")
    assert err == "error: there is no folder nowhere; --raw is the folder that holds the photos"
    assert list(tmp_path.iterdir()) == [], "nothing was made"


def test_no_photos_given_at_all(call: Call) -> None:
    code, _, err = call("run", "--data-dir", "data")
    assert code == 1
    assert "give your photos with --raw FOLDER" in err


@pytest.mark.parametrize("option", ["--labels", "--ratings"])
def test_a_label_file_that_is_not_there(call: Call, photos: Path, option: str) -> None:
    code, _, err = call("run", "--raw", photos, option, "nowhere.csv", "-d", "data")
    assert code == 1
    assert f"there is no file nowhere.csv; {option} is a CSV file" in err


@pytest.mark.parametrize("option", ["--labels", "--ratings"])
@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"", b"\x89PNG\r\n\x1a\n\x00\xff"])
def test_a_label_file_of_another_kind_is_named_before_any_work(
    call: Call, photos: Path, tmp_path: Path, option: str, content: bytes
) -> None:
    (tmp_path / "own.csv").write_bytes(content)
    code, _, err = call("run", "--raw", photos, option, "own.csv", "-d", "data")
    assert code == 1
    assert "own.csv" in err
    assert "Traceback" not in err
    assert not (tmp_path / "data").exists(), "nothing was remembered or copied"


@pytest.mark.parametrize("args", [["status"], ["score", "a.jpg"], ["composite", "--all", "--out", "a.jpg"]])
def test_before_anything_was_run(call: Call, tmp_path: Path, args: list[str]) -> None:
    code, _, err = call(*args, "--data-dir", "data")
    assert code == 1
    assert "nothing has been made in data yet" in err
    assert "facestats run --raw YOUR_PHOTOS --data-dir data" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["status", "doctor", "models", "run"])
def test_a_variable_that_is_no_setting_is_named_with_the_nearest(
    call: Call, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("FACESTATS_SHARD_SIZ", "3")
    code, out, err = call(command, *(["list"] if command == "models" else []))
    assert code == 1
    assert "FACESTATS_SHARD_SIZE" in " ".join((out + err).split())
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("FACESTATS_SHARD_SIZE", "many", "shard_size"),
        ("FACESTATS_PREPROC_FIT", "squash", "'crop' or 'pad'"),
        ("FACESTATS_PREPROC_QUALITY", "101", "less than or equal to 100"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(
    call: Call, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    code, _, err = call("status")
    assert code == 1
    assert said in err
    assert value in err


def test_what_is_remembered_holds_from_any_folder(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths given relative to one folder, and a later command from another."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.safetensors").write_bytes(save({"weight": np.zeros(1, np.float32)}))
    prepare(tmp_path / "data", raw=Path("photos"), encoder="ViT-B-32/own.safetensors", shard_size=7)
    monkeypatch.chdir(photos)
    settings = prepare(tmp_path / "data")
    assert (settings.raw, settings.shard_size) == (photos, 7)
    assert settings.encoder.name == f"ViT-B-32/{tmp_path}/own.safetensors"
    assert prepare(tmp_path / "data", encoder="ViT-B-32/untrained").encoder.name == "ViT-B-32/untrained"


def test_a_wrong_option_value(call: Call, photos: Path, tmp_path: Path) -> None:
    code, _, err = call("run", "--raw", photos, "--shard-size", 0, "-d", "data")
    assert code == 1
    assert "shard_size" in err
    assert "photos per shard" in err
    assert not (tmp_path / "data").exists()


def test_a_settings_file_with_a_typing_mistake(call: Call, tmp_path: Path) -> None:
    (tmp_path / "facestats.yaml").write_text("preproc: {qualty: 3}\n")
    code, _, err = call("status")
    assert code == 1
    assert "preproc.qualty" in err
    assert "preproc.quality" in err
    assert "facestats.yaml" in err


def test_an_unknown_command_or_option_is_a_usage_error(call: Call) -> None:
    for args in (["ruin"], ["run", "--row", "x"], ["score"]):
        code, _, err = call(*args)
        assert code == 2
        assert "Usage: " in err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(call: Call, command: str) -> None:
    code, out, _ = call(command, "--help")
    assert code == 0
    assert f"Usage: facestats {command}" in " ".join(out.split()) or "Usage: " in out
    if command != "models":
        assert f"facestats {command}" in out.partition("Example")[2]


def test_the_list_of_commands_says_what_each_does(call: Call) -> None:
    code, out, _ = call("--help")
    assert code == 0
    for name, text in COMMANDS.items():
        assert name in out
        assert text.split(",")[0].split(":")[0] in out


def test_doctor_looks_at_an_empty_folder(call: Call, tmp_path: Path) -> None:
    code, out, _ = call("doctor", "--json", "--data-dir", "data")
    findings = {finding["what"]: finding for finding in json.loads(out)}
    assert code == 0
    assert {"python", "torch", "dagster", "encoding", "data folder", "YuNet"} <= findings.keys()
    assert {finding["state"] for finding in findings.values()} <= {"ok", "missing"}
    assert all(finding["detail"] for finding in findings.values())
    assert list(tmp_path.iterdir()) == []


def test_doctor_lists_every_setting(call: Call) -> None:
    code, out, _ = call("doctor", "--settings", "--json")
    assert code == 0
    assert {row["variable"] for row in json.loads(out)} == {variable(path) for path, _ in leaves()}


@pytest.mark.parametrize("args", [["doctor"], ["models", "list"], ["run", "--raw", "photos", "-d", "data"]])
def test_a_wrong_path_of_the_face_model_is_named(
    call: Call, photos: Path, monkeypatch: pytest.MonkeyPatch, args: list[str]
) -> None:
    monkeypatch.setenv("FACESTATS_PREPROC_DETECTOR_MODEL", "nowhere.onnx")
    code, out, err = call(*args)
    assert code == 1
    assert "nowhere.onnx" in " ".join((out + err).split())
    assert "Traceback" not in err


def test_models_are_listed_with_licence_and_place(call: Call) -> None:
    code, out, _ = call("models", "list", "--json", "--data-dir", "data")
    models = json.loads(out)
    assert code == 0
    assert [model["name"] for model in models] == ["facestats-mini", "facestats-detector", "YuNet", "face landmarker"]
    assert all(model["licence"] and model["where"] for model in models)
    assert {model["state"] for model in models} <= {"ok", "absent", "other version"}


def test_an_encoder_that_is_not_there_cannot_be_pulled_and_says_how_to_place_it(call: Call) -> None:
    code, _, err = call("models", "pull", "facestats-mini/nonsense", "-d", "data")
    assert code == 1
    assert "facestats-mini" in err
    assert "Traceback" not in err


def test_demo_does_not_overwrite_labels_of_other_photos(call: Call, tmp_path: Path) -> None:
    (tmp_path / "own" / "labels").mkdir(parents=True)
    (tmp_path / "own" / "labels" / "labels.csv").write_text("file,age\n")
    code, _, err = call("demo", "--images", 1, "--data-dir", "own")
    assert code == 1
    assert "not written by the demo" in err
    assert (tmp_path / "own" / "labels" / "labels.csv").read_text() == "file,age\n"


def test_square_brackets_are_shown_as_they_are(call: Call) -> None:
    """Names and advice with brackets are no markup."""
    _, out, _ = call("doctor")
    assert "[landmarks]" in out
