"""A coverage-guided fuzzer (atheris, on libFuzzer) over FaceStats' own parsers: it keeps the inputs that reach new lines and varies them.

    python -m facestats_pipeline_tests.robustness.coverage [--seconds 25] [--seed 1] [TARGET ...]

Each target runs in a process of its own, because libFuzzer ends its process. Exit code 1, and the input, when a parser raised anything
but its own error or took more than 10 seconds or 2 GB. The long run: `--seconds 3600`.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from facestats_pipeline_tests.robustness.files import LABELS, MANUAL, RATINGS, YAML
from facestats_pipeline_tests.robustness.mutations import good_images

PARSERS = [
    "facestats_pipeline.core.images",
    "facestats_pipeline.core.ingest",
    "facestats_pipeline.core.labels",
    "facestats_pipeline.core.metadata",
    "facestats_pipeline.config",
]


def _tiff(data: bytes) -> None:
    from facestats_pipeline.core.images.problems import BrokenTags, ImageProblem
    from facestats_pipeline.core.images.tiff_tags import exif_orientation, main_picture

    assert exif_orientation(data) in (None, *range(1, 9))
    try:
        main = main_picture(data)
        assert main.pages >= 1 and len(main.data) >= len(data)
    except (BrokenTags, ImageProblem):
        pass


def _headers(data: bytes) -> None:
    from facestats_pipeline.core.images.image_headers import bmp_profile, gif_frames, png_facts, webp_size
    from facestats_pipeline.core.images.jpeg_segments import read_scans

    assert len(png_facts(data).data) <= len(data)
    assert gif_frames(data)[0] >= 0
    webp_size(data)
    assert len(bmp_profile(data)) <= len(data)
    assert read_scans(data).count >= 0


def _open(data: bytes) -> None:
    from facestats_pipeline.core.images.image_files import open_image
    from facestats_pipeline.core.images.problems import ImageProblem

    try:
        open_image(data)
    except ImageProblem as problem:
        assert problem.reason


def _filename(data: bytes) -> None:
    import os

    from facestats_pipeline.core.ingest.identity import decode_filename, encode_filename

    name = os.fsdecode(data.replace(b"\0", b""))
    assert decode_filename(encode_filename(name)) == name


def _text(read: Callable[[Path], object], errors: tuple[type[Exception], ...], data: bytes) -> None:
    path = Path(tempfile.gettempdir()) / "fuzzed"
    path.write_bytes(data)
    with contextlib.suppress(errors):
        read(path)


def _labels(data: bytes) -> None:
    from facestats_pipeline.core.labels.labels_file import read_labels
    from facestats_pipeline.core.user_files.text_table import LabelsError

    _text(read_labels, (LabelsError,), data)


def _ratings(data: bytes) -> None:
    from facestats_pipeline.core.labels.ratings import read_ratings
    from facestats_pipeline.core.user_files.text_table import LabelsError

    _text(read_ratings, (LabelsError,), data)


def _manual(data: bytes) -> None:
    from facestats_pipeline.core.metadata.manual_labels import read_manual_labels
    from facestats_pipeline.core.user_files.text_table import LabelsError

    _text(read_manual_labels, (LabelsError,), data)


def _settings(data: bytes) -> None:
    from facestats_pipeline.config import SettingsError, load_settings

    _text(lambda path: load_settings(path, environ={}), (SettingsError,), data)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "tiff": _tiff,
    "headers": _headers,
    "open": _open,
    "filename": _filename,
    "labels": _labels,
    "ratings": _ratings,
    "manual": _manual,
    "settings": _settings,
}
TEXTS = {"labels": LABELS, "ratings": RATINGS, "manual": MANUAL, "settings": YAML, "filename": "a\\b ü.jpg"}


def seeds(target: str) -> list[bytes]:
    """Good inputs to begin with."""
    if target in TEXTS:
        return [TEXTS[target].encode()]
    wanted = (".tif",) if target == "tiff" else (".png", ".gif", ".webp") if target == "headers" else ("",)
    return [data for name, data in good_images(0).items() if name.endswith(wanted)]


def fuzz(target: str, arguments: list[str]) -> None:
    """Fuzz one target in this process; libFuzzer ends it."""
    import atheris

    with atheris.instrument_imports(include=PARSERS):
        TARGETS[target](b"")  # imports what it tests, so that its lines are counted
    atheris.Setup([target, *arguments], TARGETS[target])
    atheris.Fuzz()


def run(target: str, seconds: float, seed: int) -> tuple[int, str]:
    """Fuzz one target in a process of its own: exit code and libFuzzer's last lines."""
    with tempfile.TemporaryDirectory() as name:
        corpus = Path(name) / "corpus"
        corpus.mkdir()
        for number, data in enumerate(seeds(target)):
            (corpus / str(number)).write_bytes(data)
        limits = [
            f"-max_total_time={max(1, round(seconds))}",
            f"-seed={seed}",
            "-timeout=10",
            "-rss_limit_mb=2048",
            "-max_len=4096",
        ]
        options = [*limits, f"-artifact_prefix={name}/", "-print_final_stats=1"]
        command = [
            sys.executable,
            "-m",
            __name__ if __name__ != "__main__" else f"{__package__}.coverage",
            "--here",
            target,
        ]
        done = subprocess.run(
            [*command, "--", *options, str(corpus)],
            capture_output=True,
            text=True,
            errors="replace",
            env=_environment(name),
        )
        found = done.stdout + done.stderr
        if done.returncode:
            found += "".join(f"\ninput: {path.read_bytes()!r}" for path in Path(name).glob("*-*") if path.is_file())
        return done.returncode, found[-3000:]


def _environment(folder: str) -> dict[str, str]:
    import os

    return os.environ | {"TMPDIR": folder}


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", default=list(TARGETS))
    parser.add_argument("--seconds", type=float, default=25, help="for all targets together")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    failed = 0
    for target in options.targets:
        code, text = run(target, options.seconds / len(options.targets), options.seed)
        executed = [line.split()[-1] for line in text.splitlines() if "number_of_executed_units" in line]
        print(
            f"{target:<10} {executed[0] if executed else '?':>10} inputs  {'right' if code == 0 else text}", flush=True
        )
        failed += code != 0
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--here"]:
        fuzz(sys.argv[2], sys.argv[4:])
    raise SystemExit(main())
