"""Labels beside embeddings: matched by file, one encoder, refused with a reason otherwise."""

from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest

from facestats_pipeline.core.training.provenance import TrainingRefused
from facestats_pipeline.core.training.training_rows import kinds_of_rows, training_rows, with_identity

FILES = ["2020/a.jpg", "2021/b.jpg", "2021/c.jpg"]


def embedded(files: list[str], first: int = 0, model_id: str = "e@1") -> pl.DataFrame:
    n = len(files)
    vectors = np.arange(first, first + n, dtype=np.float32)[:, None].repeat(4, axis=1)
    return pl.DataFrame(
        {
            "image_id": [f"id of {name}" for name in files],
            "filename": files,
            "embedding": pl.Series(vectors, dtype=pl.Array(pl.Float32, 4)),
            "model_id": [model_id] * n,
            "preproc_id": ["p"] * n,
        }
    )


def labels(*files: str) -> pl.DataFrame:
    return pl.DataFrame(
        {"file": files, "gender": ["Female"] * len(files)}, schema={"file": pl.String, "gender": pl.String}
    )


def test_labelled_photos_of_all_shards_in_order_of_the_shards() -> None:
    shards = [embedded(FILES[:2]), embedded(FILES[2:], first=2)]
    rows = training_rows(labels("c.jpg", "a.jpg", "nowhere.jpg"), FILES, shards)
    assert rows.image_ids == ["id of 2020/a.jpg", "id of 2021/c.jpg"]
    assert rows.table.columns == ["image_id", "filename", "gender"]
    assert rows.x.dtype == np.float32
    assert rows.x.tolist() == [[0.0] * 4, [2.0] * 4]
    assert rows.encoder_id == "e@1"


def test_only_labelled_rows_are_held() -> None:
    def shards() -> Iterator[pl.DataFrame]:
        for i in range(50):
            yield embedded([f"{i}/{j}.jpg" for j in range(20)])

    names = [f"{i}/{j}.jpg" for i in range(50) for j in range(20)]
    assert training_rows(labels("7/3.jpg", "49/19.jpg"), names, shards()).x.shape == (2, 4)


def test_labels_of_other_photos_are_refused_with_an_example() -> None:
    with pytest.raises(TrainingRefused, match=r"none of the 2 labelled files is among the 3 photos.*1 folders deep"):
        training_rows(labels("x.jpg", "y.jpg"), FILES, [embedded(FILES)])


def test_no_label_at_all_is_refused() -> None:
    with pytest.raises(TrainingRefused, match="none of the 0 labelled files"):
        training_rows(labels(), FILES, [embedded(FILES)])


def test_labelled_photos_without_an_embedding_are_refused() -> None:
    with pytest.raises(TrainingRefused, match="none of the labelled photos has an embedding"):
        training_rows(labels("a.jpg"), FILES, [embedded(FILES[1:])])


def test_embeddings_of_two_encoders_are_refused() -> None:
    shards = [embedded(FILES[:1]), embedded(FILES[1:], model_id="e@2")]
    with pytest.raises(TrainingRefused, match="2 encoders"):
        training_rows(labels("a.jpg", "b.jpg"), FILES, shards)


def test_nothing_is_learned_from_withheld_photos() -> None:
    shards = [embedded(FILES)]
    rows = training_rows(labels("a.jpg", "b.jpg"), FILES, shards, withheld={"2020/a.jpg"})
    assert rows.image_ids == ["id of 2021/b.jpg"]
    with pytest.raises(TrainingRefused, match="`use` keeps every labelled photo out"):
        training_rows(labels("a.jpg"), FILES, shards, withheld=set(FILES))


def test_a_label_of_a_withheld_photo_does_not_become_another_s() -> None:
    files = ["2020/a.jpg", "2021/a.jpg", "2021/c.jpg"]
    rows = training_rows(labels("2020/a.jpg", "a.jpg", "c.jpg"), files, [embedded(files)], withheld={"2020/a.jpg"})
    assert rows.image_ids == ["id of 2021/c.jpg"]


def test_groups_of_rows_are_what_people_said() -> None:
    rows = training_rows(labels("a.jpg", "c.jpg"), FILES, [embedded(FILES)])
    said = pl.DataFrame(
        {
            "file": ["c.jpg", "b.jpg"],
            "gender": ["Male", "Female"],
            "ethnicity": [None, None],
            "age_bin": ["20-29", None],
        }
    )
    assert kinds_of_rows(rows, said, FILES, ("gender", "ethnicity", "age_bin")) == {
        "gender": [None, "Male"],
        "age_bin": [None, "20-29"],
    }
    assert kinds_of_rows(rows, None, FILES, ("gender",)) == {}


def test_who_is_shown_comes_from_the_labels_where_ratings_do_not_say() -> None:
    rated = training_rows(labels("a.jpg", "b.jpg", "c.jpg"), FILES, [embedded(FILES)])
    said = pl.DataFrame({"file": ["c.jpg", "a.jpg"], "group": ["Ann", "Ann"]})
    assert with_identity(rated, said, FILES).table["group"].to_list() == ["Ann", None, "Ann"]
    assert with_identity(rated, said, FILES).image_ids == rated.image_ids
    assert with_identity(rated, None, FILES) is rated
    assert with_identity(rated, said.with_columns(group=pl.lit(None, pl.String)), FILES) is rated
    known = with_identity(rated, said, FILES)
    assert with_identity(known, said.with_columns(group=pl.lit("Bo")), FILES) is known, "the ratings' own word stands"
