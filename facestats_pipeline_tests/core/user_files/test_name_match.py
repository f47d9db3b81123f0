from hypothesis import given
from hypothesis import strategies as st

from facestats_pipeline.core.user_files.name_match import match_files, match_report


def test_the_same_path_goes_first() -> None:
    assert match_files(["a/1.jpg", "1.jpg"], ["1.jpg", "a/1.jpg"]) == {"a/1.jpg": "a/1.jpg", "1.jpg": "1.jpg"}


def test_the_end_of_a_path_both_ways() -> None:
    assert match_files(["images/20.jpg", "21.jpg"], ["20.jpg", "deep/er/21.jpg"]) == {
        "images/20.jpg": "20.jpg",
        "21.jpg": "deep/er/21.jpg",
    }


def test_other_folders_are_no_match() -> None:
    report = match_report(["train/1.jpg"], ["val/1.jpg"])
    assert not report.matched
    assert report.unmatched == ["train/1.jpg"]


def test_part_of_a_name_is_no_match() -> None:
    assert match_files(["1.jpg"], ["a/11.jpg"]) == {}


def test_several_photos_or_several_files_are_ambiguous() -> None:
    report = match_report(["1.jpg", "a/2.jpg", "b/2.jpg"], ["u/1.jpg", "v/1.jpg", "2.jpg"])
    assert not report.matched
    assert report.ambiguous == {"1.jpg": ["u/1.jpg", "v/1.jpg"], "a/2.jpg": ["2.jpg"], "b/2.jpg": ["2.jpg"]}


def test_the_longer_end_wins() -> None:
    report = match_report(["a/1.jpg", "1.jpg"], ["x/a/1.jpg"])
    assert report.matched == {"a/1.jpg": "x/a/1.jpg"}
    assert "1.jpg" in report.ambiguous


def test_spelling_of_paths() -> None:
    assert match_files(["a\\1.jpg", "./2.jpg", "3.jpg"], ["a/1.jpg", "2.jpg", " 3.jpg"]) == {
        "a\\1.jpg": "a/1.jpg",
        "./2.jpg": "2.jpg",
        "3.jpg": " 3.jpg",
    }
    assert match_files(["a\\1.jpg"], ["a\\1.jpg", "a/1.jpg"]) == {"a\\1.jpg": "a\\1.jpg"}


PATHS = st.lists(st.sampled_from("ab1"), min_size=1, max_size=4).map("/".join)


@given(st.lists(PATHS, max_size=8), st.lists(PATHS, max_size=8))
def test_every_file_is_accounted_for_and_no_photo_is_given_twice(files: list[str], names: list[str]) -> None:
    report = match_report(files, names)
    parts = [set(report.matched), set(report.ambiguous), set(report.unmatched)]
    assert set.union(*parts) == set(files)
    assert sum(map(len, parts)) == len(set(files))
    assert len(set(report.matched.values())) == len(report.matched)
    for file, name in report.matched.items():
        assert name in names
        assert f"/{file}".endswith(f"/{name}") or f"/{name}".endswith(f"/{file}")
    assert all(f in report.matched and report.matched[f] == f for f in files if f in names)
