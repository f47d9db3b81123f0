"""Phases: added up over threads, nobody's when nobody listens, and nested listening kept apart."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from facestats_pipeline.core.phases import Phases, current, measuring


def test_threads_add_up_what_they_were_handed() -> None:
    with measuring() as phases:
        handed = current()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda i: (handed.add("decode", 0.5), handed.count(2)), range(40)))
    assert handed is phases
    assert (phases.seconds, phases.images) == ({"decode": 20.0}, 80)


def test_a_block_that_raises_is_timed_too() -> None:
    phases = Phases()
    with pytest.raises(KeyError), phases.timing("read"):
        raise KeyError
    assert phases.seconds["read"] >= 0


def test_nobody_listens_and_each_listener_hears_its_own() -> None:
    assert current() is not current(), "nothing is kept of what nobody asked for"
    with measuring() as outer:
        with measuring() as inner:
            current().count()
        current().count(5)
    assert (inner.images, outer.images) == (1, 5)
