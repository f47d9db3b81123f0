"""What the documentation tells a reader to type works."""

import re
from pathlib import Path

import pytest

from facestats_pipeline import core
from facestats_pipeline.config import PROJECT_ROOT
from facestats_pipeline.core.demo.demo_faces import draw_face, sample_latents


def test_the_notebook_lines_run_as_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    draw_face(sample_latents(np.random.default_rng(0))).save(tmp_path / "face.jpg")
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", (PROJECT_ROOT / "docs" / "from-notebooks.md").read_text(), flags=re.S)
    names: dict[str, object] = {}
    exec(code, names)  # our own page, and what a reader would paste
    assert names["picture"].size == (512, 512)  # type: ignore[attr-defined]
    assert names["embedding"].shape == (512,)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", core.__all__)
def test_every_function_of_facestats_4_can_be_imported_from_core(name: str) -> None:
    assert callable(getattr(core, name))
    assert f"`{name}`" in (PROJECT_ROOT / "docs" / "from-notebooks.md").read_text()


def test_a_name_that_core_does_not_offer_says_what_it_does() -> None:
    with pytest.raises(AttributeError, match="run_merge"):
        _ = core.nothing_like_this
