"""Progress: reported to whoever listens, in their own context, and free when nobody does."""

import asyncio
from collections.abc import Iterator

from facestats_pipeline.core.progress import listening, report, track

Seen = list[tuple[str, int, int | None]]


def test_items_pass_unchanged_and_each_is_reported() -> None:
    seen: Seen = []
    with listening(lambda *what: seen.append(what)):
        assert list(track("ab", "Reading")) == ["a", "b"]
    assert seen == [("Reading", 0, 2), ("Reading", 1, 2), ("Reading", 2, 2)]


def test_an_item_is_done_only_when_the_next_is_asked_for() -> None:
    seen: Seen = []
    with listening(lambda *what: seen.append(what)):
        items = track(["a", "b"], "Reading")
        next(items)
        assert seen == [("Reading", 0, 2)]


def test_total_is_unknown_for_what_has_no_length_unless_it_is_given() -> None:
    seen: Seen = []
    with listening(lambda *what: seen.append(what)):
        list(track(iter("a"), "x"))
        list(track(iter("a"), "y", total=5))
    assert seen == [("x", 0, None), ("x", 1, None), ("y", 0, 5), ("y", 1, 5)]


def test_nobody_hears_what_happens_after_the_block() -> None:
    seen: Seen = []
    with listening(lambda *what: seen.append(what)):
        pass
    report("x", 1)
    assert list(track("ab", "y")) == ["a", "b"]
    assert seen == []


def test_the_inner_listener_hears_and_then_the_outer_again() -> None:
    outer: Seen = []
    inner: Seen = []
    with listening(lambda *what: outer.append(what)):
        with listening(lambda *what: inner.append(what)):
            report("inner", 1)
        report("outer", 2)
    assert (outer, inner) == ([("outer", 2, None)], [("inner", 1, None)])


def test_an_error_ends_the_listening() -> None:
    seen: Seen = []

    def broken() -> Iterator[str]:
        yield "a"
        raise RuntimeError("no more")

    try:
        with listening(lambda *what: seen.append(what)):
            list(track(broken(), "x"))
    except RuntimeError:
        pass
    report("after", 1)
    assert seen == [("x", 0, None), ("x", 1, None)]


def test_two_runs_in_one_process_do_not_hear_each_other() -> None:
    async def run(name: str, seen: Seen) -> None:
        with listening(lambda *what: seen.append(what)):
            for i in range(3):
                report(name, i)
                await asyncio.sleep(0)

    one: Seen = []
    two: Seen = []

    async def both() -> None:
        await asyncio.gather(run("one", one), run("two", two))

    asyncio.run(both())
    assert {stage for stage, *_ in one} == {"one"}
    assert {stage for stage, *_ in two} == {"two"}
