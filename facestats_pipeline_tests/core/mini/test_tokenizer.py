"""The vocabulary is small, the same each time, and never too small for a text."""

from pathlib import Path

import pytest

from facestats_pipeline.core.encoders.mini_towers import CONTEXT, MERGES_FILE, VOCABULARY
from facestats_pipeline.core.mini.captions import corpus
from facestats_pipeline.core.mini.tokenizer import learn_merges, load_tokenizer, write_merges


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer")
    write_merges(path)
    return path


def test_the_most_frequent_pair_is_merged_first_and_ties_are_alphabetical() -> None:
    assert learn_merges(["aab aab ab"], 2) == [("a", "b</w>"), ("a", "ab</w>")]
    assert learn_merges(["cd ab"], 2) == [("a", "b</w>"), ("c", "d</w>")]


def test_more_merges_than_the_texts_have_is_an_error() -> None:
    with pytest.raises(ValueError, match="have only 1 merges"):
        learn_merges(["ab"], 2)


@pytest.mark.slow
def test_the_same_bytes_each_time(folder: Path, tmp_path: Path) -> None:
    assert write_merges(tmp_path).read_bytes() == (folder / MERGES_FILE).read_bytes()


def test_every_caption_fits_and_comes_back(folder: Path) -> None:
    tokenizer = load_tokenizer(folder)
    for text in corpus(500, 7):
        ids = tokenizer.encode(text)
        assert len(ids) + 2 <= CONTEXT
        assert tokenizer.decode(ids).replace(" ", "") == text.lower().replace(" ", "")


def test_unknown_words_are_spelled_and_long_texts_cut(folder: Path) -> None:
    tokenizer = load_tokenizer(folder)
    tokens = tokenizer(["Zürich 東京 ☺", "a very long text " * 30])
    assert tokens.shape == (2, CONTEXT)
    assert int(tokens.max()) == VOCABULARY - 1  # the end mark: what the text tower pools at
    assert (tokens == VOCABULARY - 1).sum(1).tolist() == [1, 1]


def test_a_folder_without_merges_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=MERGES_FILE):
        load_tokenizer(tmp_path)
