"""Settings: precedence, and errors that name the key, the value and what is allowed."""

import contextlib
import inspect
import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from facestats_pipeline.config import Settings, SettingsError, leaves, load_settings, save_settings, variable
from facestats_pipeline.core.attributes.catalogue import BUILT_IN


def test_caller_beats_variable_beats_file(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("shard_size: 10\nseed: 7\npreproc: {size: 100, quality: 80}\n")
    environ = {"FACESTATS_SHARD_SIZE": "20", "FACESTATS_PREPROC_SIZE": "200"}
    settings = load_settings(file, environ, **{"preproc.size": 300})
    assert (settings.seed, settings.shard_size, settings.preproc.quality, settings.preproc.size) == (7, 20, 80, 300)


def test_settings_saved_in_a_data_folder_are_found_again(tmp_path: Path) -> None:
    save_settings(tmp_path, {"shard_size": 5, "encoder.name": "a/b"})
    save_settings(tmp_path, {"encoder.batch_size": 3})
    settings = load_settings(environ={}, data_dir=tmp_path)
    assert (settings.shard_size, settings.encoder.name, settings.encoder.batch_size) == (5, "a/b", 3)
    assert [path.name for path in tmp_path.iterdir()] == ["facestats.yaml"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("shard_siz: 3", ["shard_siz", "shard_size"]),
        ("shard_size: many", ["shard_size", "photos per shard", "many"]),
        ("preproc: {fit: squash}", ["preproc.fit", "'crop' or 'pad'", "squash"]),
        ("preproc: 3", ["preproc"]),
        ("- a\n- b", ["key: value"]),
        ("a: [", ["cannot read"]),
    ],
)
def test_wrong_file_names_key_and_what_is_allowed(tmp_path: Path, text: str, said: list[str]) -> None:
    file = tmp_path / "facestats.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError) as error:
        load_settings(file, {})
    for part in said:
        assert part in str(error.value)


def test_sentences_of_zero_shot_are_a_list_or_one_text_between_semicolons(tmp_path: Path) -> None:
    (tmp_path / "facestats.yaml").write_text("zeroshot: {age_bin: ['{} by age']}")
    settings = load_settings(environ={"FACESTATS_ZEROSHOT_GENDER": "{} one; {}, two"}, data_dir=tmp_path)
    assert [settings.zeroshot.templates(settings.catalogue)[name] for name in ("gender", "age_bin")] == [
        ("{} one", "{}, two"),
        ("{} by age",),
    ]
    with pytest.raises(SettingsError, match=r"zeroshot\.gender.*one \{\}"):
        load_settings(environ={"FACESTATS_ZEROSHOT_GENDER": "a face"}, data_dir=tmp_path)


def test_wrong_variable_is_named_with_the_nearest_setting() -> None:
    with pytest.raises(SettingsError, match=r"FACESTATS_SHARD_SIZ .*FACESTATS_SHARD_SIZE"):
        load_settings(environ={"FACESTATS_SHARD_SIZ": "3"})


def test_every_setting_has_a_meaning_and_a_variable_of_its_own() -> None:
    paths = dict(leaves())
    assert len({variable(path) for path in paths}) == len(paths) > 30
    assert all(field.description for field in paths.values())


def test_models_of_another_data_folder_stay_in_it(tmp_path: Path) -> None:
    assert Settings(data_dir=tmp_path).models == tmp_path / "models"


def test_an_address_with_a_password_is_refused_without_repeating_it() -> None:
    with pytest.raises(SettingsError, match="put credentials into the environment") as raised:
        load_settings(environ={"FACESTATS_DATA_URI": "s3://key:secret@bucket/faces"})
    assert "secret" not in str(raised.value)


def test_data_under_an_address_have_their_copies_in_the_cache_unless_a_folder_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    one, other = (load_settings(environ={"FACESTATS_DATA_URI": f"s3://bucket/{name}/"}) for name in ("one", "other"))
    assert one.data_uri == "s3://bucket/one"
    assert one.data_dir.parent == tmp_path / "facestats" and one.data_dir != other.data_dir
    assert one.models == one.data_dir / "models"
    named = load_settings(environ={"FACESTATS_DATA_URI": "s3://bucket/one", "FACESTATS_DATA_DIR": "/scratch"})
    assert named.data_dir == Path("/scratch")
    (tmp_path / "facestats.yaml").write_text("data_uri: s3://bucket/one\n")
    assert load_settings(environ={}).data_dir == one.data_dir


def test_a_limit_is_the_same_in_the_settings_and_in_what_they_set() -> None:
    from facestats_pipeline.core.attributes.duplicate_groups import duplicate_groups
    from facestats_pipeline.core.embeddings.hash_pairs import hamming_pairs
    from facestats_pipeline.core.embeddings.near_duplicates import near_duplicates
    from facestats_pipeline.core.preproc.preprocessing import PreprocSettings

    settings = load_settings(environ={})
    core = PreprocSettings()
    assert (core.size, core.quality, core.fit) == (
        settings.preproc.size,
        settings.preproc.quality,
        settings.preproc.fit,
    )
    assert (core.min_face_score, core.max_pixels, core.max_bytes) == (
        settings.preproc.min_face_score,
        settings.ingest.max_pixels,
        settings.ingest.max_bytes,
    )
    for compare in (near_duplicates, duplicate_groups):
        defaults = inspect.signature(compare).parameters
        assert defaults["min_cosine"].default == settings.metadata.duplicate_cosine
        assert defaults["max_hamming"].default == settings.metadata.duplicate_hamming
    for name, values in {"preproc.size": (31, 32, 4096, 4097), "preproc.quality": (0, 1, 100, 101)}.items():
        for value, allowed in zip(values, (False, True, True, False), strict=True):
            for accept in (
                lambda value=value, name=name: load_settings(environ={}, **{name: value}),
                lambda value=value, name=name: PreprocSettings(**{name.partition(".")[2]: value}),
            ):
                with contextlib.nullcontext() if allowed else pytest.raises(ValueError):
                    accept()
    with pytest.raises(ValueError, match="15"):
        load_settings(environ={}, **{"metadata.duplicate_hamming": 16})
    with pytest.raises(ValueError, match="15"):
        hamming_pairs(np.zeros(2, np.uint64), 16)


GLASSES = {"name": "glasses", "classes": ["no glasses", "glasses"]}


def test_a_collection_may_have_attributes_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "facestats.yaml").write_text(yaml.safe_dump({"attributes": {"extra": [GLASSES]}}))
    settings = load_settings(environ={}, data_dir=tmp_path)
    assert settings.catalogue.names == ("gender", "ethnicity", "age_bin", "glasses")
    assert settings.attributes.target_error(settings.catalogue["glasses"]) == 0.05
    assert settings.attributes.target_error(settings.catalogue["age_bin"]) == 0.4
    given = load_settings(environ={"FACESTATS_ATTRIBUTES_EXTRA": json.dumps([GLASSES])})
    assert given.catalogue == settings.catalogue
    assert load_settings(environ={}).catalogue == BUILT_IN


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": "gender"}, "share the column 'gender'"),
        ({"name": "shard"}, "tables have a column 'shard' already"),
        ({"name": "Glasses"}, "lower-case letters"),
        ({"classes": [True, False]}, "put the word in quotes"),
        ({"classes": ["glasses"]}, "at least two classes"),
        ({"classes": ["a/b", "c"]}, "'a/b' cannot be a class"),
        ({"prompts": {"glasses": "a person with glasses"}}, "no prompts for 'no glasses'"),
        ({"target_error": 2}, "less than 1"),
        ({"clases": []}, "`attributes.extra.0.clases` is not a setting; did you mean attributes.extra.0.classes"),
    ],
)
def test_an_attribute_that_cannot_work_is_refused_before_anything_runs(changed: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(said)):
        load_settings(environ={}, **{"attributes.extra": [GLASSES | changed]})
