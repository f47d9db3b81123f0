"""The pip command that installs a missing package: by its extra, from a checkout or from the package index."""

from pathlib import Path

_CHECKOUT = (Path(__file__).resolve().parents[2] / "pyproject.toml").is_file()


def install_command(extra: str = "") -> str:
    """The command that installs FaceStats with an extra of pyproject.toml: pinned in a checkout, by package name elsewhere."""
    wanted = f"[{extra}]" if extra else ""
    return (
        f"pip install -c constraints.txt -e '.{wanted}'" if _CHECKOUT else f"pip install 'facestats-pipeline{wanted}'"
    )
