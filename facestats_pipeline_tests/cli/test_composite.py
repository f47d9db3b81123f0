"""`facestats composite` on a small collection laid out by hand: groups, pairs, films, weights, and what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from facestats_pipeline.cli.main import main
from facestats_pipeline.core.ingest.identity import image_id

Call = Callable[..., tuple[int, str, str]]
SIZE, SHARD = 64, "shard-00000"


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """Runs `facestats composite` on 24 photos, 12 of women and 12 of men: exit code, output, errors in single spaces."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("FACESTATS_PREPROC_SIZE", str(SIZE))
    _collection(tmp_path / "data")

    def run(*args: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["composite", *(str(each) for each in args), "-d", "data"])
        out, err = capsys.readouterr()
        code = ended.value.code
        return (code if isinstance(code, int) else 0 if code is None else 1), out, " ".join(err.split())

    return run


def _collection(data: Path, n: int = 24) -> None:
    processed = data / "processed"
    for folder in (
        processed / "preproc" / SHARD,
        processed / "metadata/master.parquet",
        processed / "preproc.parquet",
        data / "raw",
    ):
        folder.mkdir(parents=True)
    ids = []
    for i in range(n):
        pixels = np.full((SIZE, SIZE, 3), 60 + 100 * (i % 2), np.uint8)
        pixels[20:30, 15 + i % 3 : 50] = 20
        Image.fromarray(pixels[:, ::-1] // 2 + i).save(data / "raw" / f"{i}.png")
        ids.append(image_id((data / "raw" / f"{i}.png").read_bytes()))
        Image.fromarray(pixels).save(processed / "preproc" / SHARD / f"{ids[-1]}.jpg", quality=95)
    five = np.array([[24, 24], [40, 24], [32, 34], [26, 44], [38, 44]], np.float32).reshape(-1)
    pl.DataFrame(
        {
            "image_id": ids,
            "filename": [f"{i}.png" for i in range(n)],
            "shard": [SHARD] * n,
            "source": ["test"] * n,
            "licence": ["none"] * n,
            "consent": ["yes"] * n,
            "preproc_status": ["ok"] * n,
            "reasons": pl.Series([["blurred"] if i == 0 else [] for i in range(n)], dtype=pl.List(pl.String)),
            "gender_final": ["Female", "Male"] * (n // 2),
            "ethnicity_final": ["White"] * n,
            "age_bin_final": ["20-29"] * n,
            "age": pl.Series([25.0] * n, dtype=pl.Float32),
            "attractiveness": pl.Series([i % 10 + 1 for i in range(n)], dtype=pl.Int8),
        }
    ).write_parquet(processed / "metadata/master.parquet" / f"{SHARD}.parquet")
    landmarks = pl.Series([five.tolist()] * n, dtype=pl.Array(pl.Float32, 10))
    pl.DataFrame({"image_id": ids, "landmarks": landmarks}).write_parquet(
        processed / "preproc.parquet" / f"{SHARD}.parquet"
    )
    pl.DataFrame({"image_id": ids}).write_parquet(processed / "inventory.parquet")


def test_one_group_says_what_was_left_out(call: Call) -> None:
    code, out, err = call("--gender", "Female", "-o", "w.png", "--json")
    told = json.loads(out)
    assert (code, told["n_used"], told["status"], told["out"]) == (0, 11, "made", "w.png"), err
    assert told["reason"] == "1 left out: flagged for their quality"
    with Image.open("w.png") as picture:
        assert picture.size == (SIZE, SIZE)


def test_mean_is_of_the_photos_as_they_were_taken(call: Call) -> None:
    assert call("--gender", "Male", "--method", "mean", "-o", "m.png")[0] == 0
    photos = [np.asarray(Image.open(f"data/raw/{i}.png").convert("RGB")) for i in range(1, 24, 2)]
    with Image.open("m.png") as picture:
        assert np.array_equal(np.asarray(picture), np.rint(np.mean(photos, axis=0)).astype(np.uint8))


def test_by_a_grouping_makes_one_page_and_names_what_is_refused(call: Call) -> None:
    code, out, err = call("--by", "gender", "-o", "g.png", "--method", "warped")
    assert code == 0, err
    assert "Female: 11 faces" in out and "Male: 12 faces" in out and "optical flow" in out
    code, out, _ = call("--by", "age", "-o", "a.jpg")
    assert code == 0 and "Twenties (20–29): 23 faces" in out and "refused Children (0–9)" in out
    code, out, err = call("--by", "decile", "-o", "d.jpg")
    assert (code, out) == (1, "") and "every group was refused" in err and not Path("d.jpg").exists()


def test_two_groups_side_by_side_and_as_a_film(call: Call) -> None:
    code, out, err = call("--gender", "Female", "--versus", "gender=Male", "--difference", "-o", "p.png", "--json")
    assert code == 0, err
    assert [row["applied"] for row in json.loads(out)["composites"]] == ["gender=Female", "gender=Male"]
    with Image.open("p.png") as picture:
        assert picture.width > 3 * 512
    assert call("--gender", "Female", "--versus", "gender=Male", "-o", "p.webp")[0] == 0
    with Image.open("p.webp") as film:
        assert film.n_frames > 10


def test_a_weight_is_named_and_counted(call: Call) -> None:
    code, out, err = call("--all", "--weight", "attractiveness", "-o", "w.png")
    assert code == 0, err
    assert "as much as" in out
    code, out, err = call("--all", "--weight", "beauty", "-o", "w2.png")
    assert (code, out) == (1, "") and "no column of numbers" in err and "attractiveness" in err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["-o", "x.png"], "choose filters"),
        (["--all", "--gender", "Male", "-o", "x.png"], "--all means no filter"),
        (["--all", "-o", "x.gif"], "give the second one with --versus"),
        (["--all", "-o", "x.bmp"], "end it in .jpg or .png"),
        (["--all", "--difference", "-o", "x.png"], "--versus gender=Male"),
        (["--all", "--versus", "gender=Male", "--difference", "-o", "x.gif"], "--difference makes a picture"),
        (["--all", "--by", "age", "--versus", "all", "-o", "x.png"], "--by and --versus cannot be combined"),
        (["--all", "--versus", "shoes=3", "-o", "x.png"], "for example 'gender=Male age=20:29'"),
        (["--all", "--versus", "gender=Elf", "-o", "x.png"], "use one of"),
        (["--all", "--versus", "all", "-o", "x.png"], "both groups are all"),
        (["--gender", "Male", "--by", "gender", "-o", "x.png"], "filtered by gender already"),
        (["--age", "young", "-o", "x.png"], "give LO:HI"),
        (["--decile", "8:10", "--strict", "-o", "x.png"], "at least 10 are needed"),
    ],
)
def test_what_cannot_be_made_is_one_message_and_no_file(call: Call, args: list[str], said: str) -> None:
    code, out, err = call(*args)
    assert (code, out) == (1, ""), err
    assert said in err and "Traceback" not in err
    assert not list(Path().glob("x.*"))


def test_without_landmarks_the_next_step_is_named(call: Call) -> None:
    table = Path("data/processed/preproc.parquet") / f"{SHARD}.parquet"
    none = pl.lit(None, pl.Array(pl.Float32, 10))
    pl.read_parquet(table).with_columns(landmarks=none).write_parquet(table)
    code, _, err = call("--all", "-o", "x.png")
    assert code == 1 and "use --method mean" in err and "facestats doctor" in err
