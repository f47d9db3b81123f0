"""Score a photo: the detected face, attributes with calibrated probabilities (or an abstention), the score with its interval."""

from typing import Any

import streamlit as st

from facestats_pipeline.app.charts import probabilities
from facestats_pipeline.app.gallery import hits
from facestats_pipeline.app.pictures import as_png, with_face_drawn
from facestats_pipeline.app.state import models, queries
from facestats_pipeline.app.uploads import choose_photo
from facestats_pipeline.app.words import number, plain, shown
from facestats_pipeline.collection.collection import Collection
from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.collection.score import ScoredPhoto
from facestats_pipeline.core.attributes.attribute import UNKNOWN
from facestats_pipeline.core.images.problems import ImageProblem

SCORED = "score-result"
NEIGHBOURS = 8
SOURCES = {
    "probe": "a model trained on this collection's labels",
    "shipped": "the probe shipped with the encoder",
    "zeroshot": "zero-shot classification with prompts",
}


def show() -> None:
    """The page."""
    st.title("Score a photo")
    if (photo := choose_photo("score")) is not None:
        _score(photo)
        st.rerun()  # from here on, the photo is no longer in the page's memory
    if SCORED in st.session_state:
        _result(st.session_state[SCORED])
        if st.button("Forget this result", icon=":material/delete:"):
            del st.session_state[SCORED]
            st.rerun()


def _score(photo: bytes) -> None:
    found: dict[str, Any] = {"error": "", "picture": None, "near": [], "no_near": "", "notes": []}
    try:
        with models() as here, st.spinner("Scoring the photo …"):
            scored = here.score(photo)
            found |= {"result": scored.result, "answers": scored.answers, "notes": here.notes}
            if scored.status == "ok" and here.settings.dashboard.match_photos:
                found |= _neighbours(here, scored)
        if scored.status in ("ok", "no_face"):
            found["picture"] = as_png(with_face_drawn(photo, scored.row))
    except (FaceStatsError, ImageProblem) as problem:
        found["error"] = str(problem)
    st.session_state[SCORED] = found


def _neighbours(here: Collection, scored: ScoredPhoto) -> dict[str, Any]:
    """The nearest faces, or why there are none: the score is shown either way."""
    try:
        return {"near": here.near(scored.vector, NEIGHBOURS).to_dicts()}
    except FaceStatsError as problem:
        return {"no_near": str(problem)}


def _result(found: dict[str, Any]) -> None:
    if found["error"]:
        st.error(plain(found["error"]))
        return
    result = found["result"]
    if result["status"] not in ("ok", "no_face"):
        st.error(
            f"This file cannot be used ({plain(result['status'])}): {plain(result['reason'])}",
            icon=":material/broken_image:",
        )
        return
    picture, words = st.columns([2, 3])
    with picture:
        st.image(found["picture"], width="stretch", alt="the photo with the face that was found")
        if result["face_score"] is not None and result["status"] == "ok":
            more = f"; the largest of {result['face_count']}" if result["face_count"] > 1 else ""
            st.caption(f"Face found with a score of {result['face_score']:.2f}{more}.")
    with words:
        for note in found["notes"]:
            st.warning(plain(note))
        if result["status"] == "no_face":
            st.info(f"The models abstain on this photo: {plain(result['reason'])}.", icon=":material/person_off:")
            return
        _score_figures(result)
        _attributes(result, found["answers"])
    if found["no_near"]:
        st.caption(f"No nearest faces: {plain(found['no_near'])}")
    if found["near"]:
        st.subheader("Nearest faces of the collection")
        hits(found["near"])


def _score_figures(result: dict[str, Any]) -> None:
    st.subheader("Score")
    if result["attractiveness_raw"] is None:
        st.caption("There is no score: this collection has no ratings.")
        return
    with st.container(horizontal=True):
        low, high = number(result["attractiveness_lo"], 2), number(result["attractiveness_hi"], 2)
        st.metric("Predicted mean rating", number(result["attractiveness_raw"], 2), border=True, width=200)
        coverage = queries().settings.attractiveness.coverage
        st.metric("Interval", f"{low} – {high}", help=f"conformal, {coverage:.0%}", border=True, width=200)
        if result["attractiveness_pct"] is not None:
            rank = f"{100 * result['attractiveness_pct']:.0f}%"
            st.metric("Percentile", rank, help="rank among the scores of the collection", border=True, width=120)
            st.metric("Decile", result["attractiveness"], border=True, width=100)
    st.caption(
        "The rating that the raters of this collection would give on average. It says nothing about a person's worth."
    )


def _attributes(result: dict[str, Any], answers: dict[str, Any]) -> None:
    st.subheader("Perceived attributes")
    catalogue = queries().settings.catalogue
    for name, answer in answers.items():
        title = catalogue[name].title.lower()
        if not answer.classes:
            st.caption(f"{title}: there is no model for it.")
            continue
        decided = result[name]
        if decided == UNKNOWN:
            top = shown(result[f"{name}_top"])
            st.markdown(
                f"**{title}: abstains** (most probable: {plain(top)}; it needs a probability of {answer.threshold:.0%} to answer)"
            )
        else:
            st.markdown(f"**{title}: {plain(shown(decided))}**")
        st.altair_chart(
            probabilities(answer), alt=f"calibrated probability of each class of {title}", key=f"score-{name}"
        )
        st.caption(f"From {SOURCES.get(answer.source, plain(answer.source))}.")
    if result["age"] is not None:
        interval = (
            f", likely {number(result['age_lo'])} to {number(result['age_hi'])}" if result["age_lo"] is not None else ""
        )
        st.write(f"Age in years: **{number(result['age'])}**{interval}.")
