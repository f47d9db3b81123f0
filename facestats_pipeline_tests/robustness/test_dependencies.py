"""What is imported is declared and what is declared is used; what is installed is what is pinned, and may be used."""

from facestats_pipeline_tests.robustness.dependencies import NAMED, Dependency, dependencies, pins
from facestats_pipeline_tests.robustness.imports import CODE, NOT_IMPORTED, declared, imported


def test_every_import_is_declared() -> None:
    users, developers = declared()
    allowed = {"facestats_pipeline": users}
    missing = {
        name: path
        for folder in CODE
        for name, path in imported(folder).items()
        if name not in allowed.get(folder, users | developers)
    }
    assert missing == {}, "imported, but not declared in pyproject.toml"


def test_every_declared_distribution_is_used() -> None:
    users, developers = declared()
    used = {name for folder in CODE for name in imported(folder)}
    assert (users | developers) - used - NOT_IMPORTED.keys() == set(), (
        "declared, but not imported; say why in NOT_IMPORTED"
    )
    assert NOT_IMPORTED.keys() - (users | developers) == set(), "no longer declared"
    assert NOT_IMPORTED.keys() & imported("facestats_pipeline").keys() == set(), "imported by now"


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
