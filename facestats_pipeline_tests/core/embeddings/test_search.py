from pathlib import Path

import numpy as np
import polars as pl
import pytest

from facestats_pipeline.core.embeddings.index import EmbeddingIndex, build_index
from facestats_pipeline.core.embeddings.search import SearchRefused, nearest, photo_vector, text_vector
from facestats_pipeline.core.encoders.encoder import load_model
from facestats_pipeline.core.images.decoding import encode_jpeg
from facestats_pipeline.core.preproc.detection import load_detector
from facestats_pipeline.core.preproc.preprocessing import PreprocSettings

NAMES = [f"{i:032x}" for i in range(40)]
LIVE = pl.DataFrame({"image_id": NAMES, "filename": [f"{i}.jpg" for i in range(40)], "shard": "shard-00000"})


@pytest.fixture(scope="module")
def index() -> EmbeddingIndex:
    """40 directions in a plane, a degree apart."""
    angles = np.radians(np.arange(40))
    return build_index([(NAMES, np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32))], model_id="e@1")


def test_the_nearest_come_first_with_rank_cosine_and_name(index: EmbeddingIndex) -> None:
    hits = nearest(index, np.array([1, 0], np.float32), LIVE, 3)
    assert [(hit.rank, hit.filename) for hit in hits] == [(1, "0.jpg"), (2, "1.jpg"), (3, "2.jpg")]
    assert [hit.cosine for hit in hits] == pytest.approx([1, np.cos(np.radians(1)), np.cos(np.radians(2))], abs=2e-3)


def test_what_was_removed_since_is_passed_over_however_much_it_is(index: EmbeddingIndex) -> None:
    hits = nearest(index, np.array([1, 0], np.float32), LIVE.tail(15), 4)
    assert [hit.filename for hit in hits] == ["25.jpg", "26.jpg", "27.jpg", "28.jpg"]
    assert [hit.rank for hit in hits] == [1, 2, 3, 4]


def test_fewer_where_there_are_fewer(index: EmbeddingIndex) -> None:
    assert len(nearest(index, np.array([1, 0], np.float32), LIVE.head(3), 100)) == 3
    assert nearest(index, np.array([1, 0], np.float32), LIVE.clear(), 5) == []
    with pytest.raises(ValueError, match="k is 0"):
        nearest(index, np.array([1, 0], np.float32), LIVE, 0)


def test_an_untrained_encoder_knows_no_words_and_says_what_to_do() -> None:
    encoder = load_model("facestats-test-tiny/untrained", precision="fp32")
    with pytest.raises(SearchRefused, match=r"untrained.*--encoder facestats-mini"):
        text_vector("an elderly man", encoder)
    with pytest.raises(SearchRefused, match="empty"):
        text_vector("  ", encoder)


def test_a_picture_without_a_face_and_a_file_that_is_no_picture_abstain(yunet_model: Path) -> None:
    from PIL import Image

    encoder = load_model("facestats-test-tiny/untrained", precision="fp32")
    detector, settings = load_detector(yunet_model), PreprocSettings(size=128)
    with pytest.raises(SearchRefused, match="no_face"):
        photo_vector(encode_jpeg(Image.new("RGB", (200, 200), (90, 120, 90))), encoder, detector, settings)
    with pytest.raises(SearchRefused, match="unsupported"):
        photo_vector(b"no picture", encoder, detector, settings)
