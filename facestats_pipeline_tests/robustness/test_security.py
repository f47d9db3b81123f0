"""Promises of docs/security.md that are kept by how the source is written and by how text leaves it."""

import ast
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import facestats_pipeline
from facestats_pipeline.core.reports.card_text import cell, table

SOURCE = Path(facestats_pipeline.__file__).parent
UNSAFE_MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "pandas"}
"""pandas: only the app may import it (Streamlit wants it), and `read_pickle` is looked for there too."""
UNSAFE_CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "read_pickle",
    "to_pickle",
    "unsafe_load",
    "full_load",
    "system",
    "popen",
}


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """(dotted name, call) of every call."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def argument(call: ast.Call, name: str) -> str | None:
    found = [ast.unparse(keyword.value) for keyword in call.keywords if keyword.arg == name]
    return found[0] if found else None


def unsafe(text: str, *, app: bool = False) -> list[str]:
    """What in a module's source could run something that a file says."""
    tree, found = ast.parse(text), []
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        heads = {name.partition(".")[0] for name in names} - ({"pandas"} if app else set())
        found += [f"imports {head}" for head in sorted(heads & UNSAFE_MODULES)]
    for name, call in calls(tree):
        last = name.rpartition(".")[2]
        if last in UNSAFE_CALLS and (name == last or name.startswith(("os.", "pd.", "pandas.", "yaml.", "builtins."))):
            found.append(f"calls {name}")
        if name in ("torch.load", "load") and name == "torch.load" and argument(call, "weights_only") != "True":
            found.append("torch.load without weights_only=True")
        if name in ("np.load", "numpy.load", "np.save", "numpy.save") and argument(call, "allow_pickle") == "True":
            found.append(f"{name} with allow_pickle")
        if name in ("yaml.load", "yaml.load_all"):
            found.append("yaml.load: safe_load is the one to use")
        if argument(call, "unsafe_allow_html") == "True" or name in (
            "st.html",
            "components.html",
            "st.components.v1.html",
        ):
            found.append(f"{name} shows text as HTML")
        if argument(call, "shell") == "True":
            found.append(f"{name} through a shell")
    return found


def test_nothing_in_the_source_unpickles_runs_or_shows_as_html_what_a_file_says() -> None:
    found = {
        path.relative_to(SOURCE).as_posix(): what
        for path in modules()
        if (what := unsafe(path.read_text(encoding="utf-8"), app="app" in path.relative_to(SOURCE).parts))
    }
    assert found == {}
    assert len(modules()) > 100


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from joblib import load",
        "import torch\ntorch.load(p)",
        "import torch\ntorch.load(p, weights_only=False)",
        "import numpy as np\nnp.load(p, allow_pickle=True)",
        "import yaml\nyaml.load(t)",
        "eval(t)",
        "import os\nos.system(t)",
        "import subprocess\nsubprocess.run(t, shell=True)",
        "st.markdown(t, unsafe_allow_html=True)",
    ],
)
def test_the_search_itself_would_notice(text: str) -> None:
    assert unsafe(text)


def test_plain_numpy_and_torch_are_not_taken_for_it() -> None:
    assert not unsafe("import torch, re\ntorch.load(p, weights_only=True)\nmodel.eval()\nre.compile('a')\nnp.load(p)")


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>.jpg", "<img src=x onerror=alert(1)>", "a|b\n# head", "&lt;b&gt;"]
)
def test_text_from_files_is_no_html_and_no_markdown_table_in_cards(name: str) -> None:
    shown = cell(name)
    assert "<" not in shown and ">" not in shown
    assert len(table(["file"], [[name]]).splitlines()) == 3


def test_a_file_that_is_too_large_or_never_ends_is_not_read(tmp_path: Path) -> None:
    from facestats_pipeline.core.preproc.preprocessing import PreprocSettings, preprocess_photo

    large, pipe = tmp_path / "large.jpg", tmp_path / "pipe.jpg"
    large.write_bytes(bytes(2001))
    os.mkfifo(pipe)
    settings = PreprocSettings(max_bytes=2000)
    found = [
        preprocess_photo(("photo", "photo", path), settings, None).row for path in (large, pipe, Path("/dev/zero"))
    ]
    assert [row["status"] for row in found] == ["too_large", "unsupported", "unsupported"]
    assert "2001 bytes are more than ingest.max_bytes (2000)" in found[0]["reason"]
    assert settings.preproc_id("none") == PreprocSettings().preproc_id("none"), "a limit changes no picture"


def test_the_web_page_binds_to_loopback_unless_another_address_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from facestats_pipeline.cli import ui

    started: list[list[str]] = []
    monkeypatch.setattr(ui.os, "execve", lambda path, args, environment: started.append(args))
    for given in ([], ["--host", "0.0.0.0"]):
        result = CliRunner().invoke(ui.app, ["-d", str(tmp_path), "--port", "39517", *given])
        assert result.exit_code == 0, result.output
    hosts = [args[args.index("--host") + 1] for args in started]
    assert hosts == ["127.0.0.1", "0.0.0.0"]
