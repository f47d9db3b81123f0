"""What a run tells of its work."""

from facestats_pipeline.collection import run


def test_phases_and_speed_are_of_what_was_worked_on() -> None:
    told = {"images": 50.0, "seconds": 4.0, "seconds_decode": 3.123, "seconds_write": 0.5}
    assert run.phases_of(told) == {"read": 0.0, "decode": 3.12, "compute": 0.0, "write": 0.5, "images_per_second": 12.5}
    assert "images_per_second" not in run.phases_of({**told, "images": 0.0}), "every row was taken over"
    assert run.phases_of({}) == {}, "an asset without shards"
