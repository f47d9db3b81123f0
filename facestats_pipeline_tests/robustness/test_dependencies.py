"""What is installed is what is pinned, and may be used."""

from facestats_pipeline_tests.robustness.dependencies import NAMED, Dependency, dependencies, pins


def test_everything_that_is_needed_is_pinned_at_the_installed_version() -> None:
    pinned = pins()
    loose = {one.name: one.version for one in dependencies() if one.version.partition("+")[0] != pinned.get(one.name)}
    assert loose == {}, "not in constraints.txt at this version"


def test_every_licence_is_permissive_or_was_looked_at() -> None:
    found = dependencies()
    assert {one.name: one.licence for one in found if not one.permissive and one.name not in NAMED} == {}
    assert NAMED.keys() <= {one.name for one in found}, "named for nothing"


def test_a_copyleft_or_missing_licence_is_not_taken_for_permissive() -> None:
    licences = ["GPL-3.0-only", "MIT AND GPL-2.0-or-later", "", "Proprietary", "LGPL-3.0 WITH LLVM-exception"]
    assert [Dependency("x", "1", licence).permissive for licence in licences] == [False] * 5
    assert Dependency("x", "1", "Apache-2.0 AND (BSD-3-Clause OR MIT)").permissive
