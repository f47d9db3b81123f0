"""What an installation of FaceStats brings with it: every distribution that it needs, directly or not, its version and its licence.

    python -m facestats_pipeline_tests.robustness.dependencies

Known vulnerabilities are another question, which only an advisory service can answer: `make audit`.
"""

import importlib.metadata as metadata
import re
import tomllib
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from facestats_pipeline.config import PROJECT_ROOT

PROJECT, EXTRAS = "facestats-pipeline", frozenset({"app", "celery", "k8s", "postgres", "ray", "s3"})
PERMISSIVE = re.compile(
    r"MIT|BSD|Apache|PSF|Python Software Foundation|ISC|Zlib|CC0|BSL-1\.0|CNRI-Python|LLVM-exception|HPND",
    re.IGNORECASE,
)
NAMED: dict[str, str] = {
    "certifi": "MPL-2.0: a list of certificates, used as it is",
    "pi-heif": "BSD-3-Clause; its wheels hold libheif and libde265, LGPL-3.0: linked and not changed",
    "psycopg2-binary": "LGPL with exceptions: an extra, imported and not changed",
    "skops": "MIT by its LICENSE file; its metadata names none",
    "tqdm": "MPL-2.0 and MIT: used as it is",
}
"""Distributions whose licence was looked at because their metadata does not say that it is permissive."""


@dataclass(frozen=True)
class Dependency:
    """One distribution, as it is installed."""

    name: str
    version: str
    licence: str

    @property
    def permissive(self) -> bool:
        """Whether every part of the licence's expression or classifier is a permissive one."""
        parts = [part.strip("() ") for part in re.split(r" AND | OR | WITH |/", self.licence)]
        return all(PERMISSIVE.search(part) is not None and "GPL" not in part for part in parts)


def dependencies(project: str = PROJECT, extras: frozenset[str] = EXTRAS) -> list[Dependency]:
    """Everything that the project with these extras needs on this machine, by name. Raises PackageNotFoundError for what is missing."""
    asked: dict[str, set[str]] = {}
    waiting = [(canonicalize_name(project), set(extras))]
    while waiting:
        name, wanted = waiting.pop()
        if name in asked and wanted <= asked[name]:
            continue
        asked.setdefault(name, set()).update(wanted)
        for needed in _own(wanted) if name == PROJECT else map(Requirement, metadata.requires(name) or []):
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in {*wanted, ""}):
                waiting.append((canonicalize_name(needed.name), set(needed.extras)))
    names = sorted(asked.keys() - {canonicalize_name(project)})
    return [Dependency(name, metadata.version(name), _licence(name)) for name in names]


def _own(extras: set[str]) -> list[Requirement]:
    """What pyproject.toml asks for with these extras: what is installed may be of before the last change."""
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *(project["optional-dependencies"][extra] for extra in sorted(extras))]
    return [Requirement(line) for lines in groups for line in lines]


def pins() -> dict[str, str]:
    """Name → version of `constraints.txt`."""
    lines = (PROJECT_ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("#")[0].split(";")[0].strip().split("==") for line in lines]
    return {canonicalize_name(pair[0]): pair[1] for pair in pairs if len(pair) == 2}


def _licence(name: str) -> str:
    told = metadata.metadata(name)
    if expression := told.get("License-Expression"):
        return str(expression)
    classified = [text.split(" :: ")[-1] for text in told.get_all("Classifier") or [] if text.startswith("License ::")]
    named = [text for text in classified if text != "OSI Approved"]
    return " / ".join(named) or str(told.get("License") or "").strip().partition("\n")[0]


def main() -> None:
    """Print them."""
    for one in dependencies():
        print(f"{one.name}=={one.version}  {NAMED.get(one.name, one.licence)}")


if __name__ == "__main__":
    main()
