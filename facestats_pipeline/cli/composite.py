"""`facestats composite`: the average face of a group, of every group, or of two groups compared."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from facestats_pipeline.cli import completion
from facestats_pipeline.cli.console import out, print_json, progress
from facestats_pipeline.cli.options import DataDir, Json, Where
from facestats_pipeline.collection.collection import open_collection
from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.collection.opening import require_run, use_with
from facestats_pipeline.core.drawing import PICTURE_QUALITY

if TYPE_CHECKING:
    from facestats_pipeline.core.composites.composite_specs import CompositeSpec
    from facestats_pipeline.core.composites.groups import GeneratedComposite

app = typer.Typer(add_completion=False)
STILLS = (".jpg", ".jpeg", ".png")
FILMS = (".webp", ".gif", ".mp4")
EPILOG = """
Examples:

  facestats composite --all --out everyone.jpg

  facestats composite --gender Female --age 20:29 --method warped --out women.jpg

  facestats composite --decile 8:10 --strict --out top.png

  facestats composite --by age --gender Male --out men-by-age.png

  facestats composite --all --weight attractiveness --out weighted.png

  facestats composite --gender Female --versus gender=Male --difference --out pair.png

  facestats composite --age 20:29 --versus age=60:120 --method warped --out ageing.webp
"""


class Method(StrEnum):
    """How faces are aligned before averaging."""

    mean = "mean"
    aligned = "aligned"
    warped = "warped"


@app.command(epilog=EPILOG)
def composite(
    out_file: Annotated[
        Path,
        typer.Option("--out", "-o", help="Output file: .jpg or .png; with --versus also .webp, .gif or .mp4."),
    ],
    gender: Annotated[str | None, typer.Option(help="Female or Male.", autocompletion=completion.genders)] = None,
    ethnicity: Annotated[
        str | None,
        typer.Option(
            help="One of FairFace's seven classes, for example East_Asian.", autocompletion=completion.ethnicities
        ),
    ] = None,
    age: Annotated[str | None, typer.Option(help="Years, LO:HI.")] = None,
    decile: Annotated[str | None, typer.Option(help="Score decile, LO:HI within 1:10.")] = None,
    everyone: Annotated[bool, typer.Option("--all", help="No filter.")] = False,
    also: Annotated[
        str | None,
        typer.Option("--filter", help="More filters in one text, for attributes of your own: 'glasses=no glasses'."),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            help="One composite for each gender, ethnicity, age, decile or class of another attribute, on one page; nothing is relaxed.",
            autocompletion=completion.groupings,
        ),
    ] = None,
    versus: Annotated[
        str | None,
        typer.Option(
            help="A second group to compare with, for example 'gender=Male age=20:29', or all. A film shows a morph.",
            autocompletion=completion.groups,
        ),
    ] = None,
    difference: Annotated[
        bool, typer.Option("--difference", help="With --versus: add a map of lighter and darker areas.")
    ] = False,
    weight: Annotated[
        str | None,
        typer.Option(
            help="Column of the master table to weight faces by, for example attractiveness.",
            autocompletion=completion.number_columns,
        ),
    ] = None,
    method: Annotated[
        Method,
        typer.Option(
            help="mean: no alignment; aligned: rotated and scaled by 5 points; warped: by all face landmarks, sharpest."
        ),
    ] = Method.aligned,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse a group with too few faces instead of relaxing its filters.")
    ] = False,
    where: Where = None,
    data_dir: DataDir = None,
    json_: Json = False,
) -> None:
    """Average the faces of a group. If too few faces match, the filters are relaxed one by one, and each relaxation is reported."""
    here = open_collection(data_dir)
    settings = here.settings
    use_with(settings, where or ())
    require_run(settings)
    chosen = [option for option in (gender, ethnicity, age, decile, also) if option is not None]
    if everyone and chosen:
        raise FaceStatsError("--all means no filter: leave out --all, or the filters")
    if not chosen and not everyone and by is None:
        raise FaceStatsError(
            "choose filters (--gender, --ethnicity, --age, --decile, --filter), --by, or --all for everyone"
        )
    _check_output(out_file, by, versus, difference)
    from facestats_pipeline.core.composites.composite_specs import (
        CompositeRefused,
        CompositeSpec,
        describe_filters,
        specs_by,
    )
    from facestats_pipeline.core.composites.membership import parse_filters
    from facestats_pipeline.core.ingest.identity import PhotosUnavailable

    try:
        catalogue = settings.catalogue
        filters: dict[str, Any] = {"gender": _word("gender", gender), "ethnicity": _word("ethnicity", ethnicity)}
        filters |= {"age": _range("--age", age), "decile": _whole("--decile", decile)}
        filters |= parse_filters(also.strip(), catalogue) if also is not None else {}
        first = CompositeSpec(
            out_file.stem,
            describe_filters(filters, catalogue),
            filters,
            method=method.value,
            strict=strict or settings.composites.strict,
            floor=settings.composites.min_n,
            weight=weight,
            catalogue=catalogue,
        )
        if by is not None:
            specs = specs_by(by, first)
        elif versus is not None:
            specs = [first, _second(first, versus)]
        else:
            specs = [first]
        with progress(quiet=json_):
            made = here.composites(specs, where=where or ())
            if by is not None:
                _write_groups(made, out_file)
            elif versus is not None:
                _write_pair(made[0], made[1], out_file, difference)
            else:
                _write_one(made[0], out_file)
    except (CompositeRefused, PhotosUnavailable, ValueError) as refusal:
        raise FaceStatsError(str(refusal)) from None
    except OSError as error:
        raise FaceStatsError(f"cannot write {out_file}: {error.strerror or error}") from None
    if json_:
        rows = [one.row for one in made]
        written = {"out": str(out_file)}
        print_json({**rows[0], **written} if len(rows) == 1 else {"composites": rows, **written})
        return
    out.print(f"{out_file}", markup=False)
    for one in made:
        _tell(one.row)


def _word(attribute: str, text: str | None) -> str | None:
    """The class that a text such as `female` or `east_asian` names; else the text itself, for the error message."""
    from facestats_pipeline.core.labels.labels_file import canonical_value

    return None if text is None else canonical_value(attribute, text) or text


def _check_output(out_file: Path, by: str | None, versus: str | None, difference: bool) -> None:
    suffix = out_file.suffix.lower()
    if by is not None and versus is not None:
        raise FaceStatsError(
            "--by and --versus cannot be combined: --by makes a page of many groups, --versus compares two"
        )
    if difference and versus is None:
        raise FaceStatsError("--difference compares two groups: give the second one, for example --versus gender=Male")
    if suffix in FILMS and versus is None:
        raise FaceStatsError(
            f"--out {out_file}: a film shows a morph of two groups: give the second one with --versus, or write .jpg"
        )
    if suffix in FILMS and difference:
        raise FaceStatsError(f"--out {out_file}: --difference makes a picture: end it in .jpg or .png")
    if suffix not in STILLS + FILMS:
        films = " (or .webp, .gif, .mp4 for a morph)" if versus is not None else ""
        raise FaceStatsError(f"--out {out_file}: end it in .jpg or .png{films}")


def _second(first: "CompositeSpec", versus: str) -> "CompositeSpec":
    """The same composite for another group."""
    from dataclasses import replace

    from facestats_pipeline.core.composites.composite_specs import describe_filters
    from facestats_pipeline.core.composites.membership import parse_filters

    try:
        filters = parse_filters(versus.strip(), first.catalogue)
        caption = describe_filters(filters, first.catalogue)
        return replace(first, name=f"{first.name}_versus", caption=caption, filters=filters)
    except ValueError as problem:
        raise FaceStatsError(f"--versus {versus!r}: {problem}; for example 'gender=Male age=20:29', or all") from None


def _write_one(made: "GeneratedComposite", out_file: Path) -> None:
    if made.image is None:
        raise FaceStatsError(f"{made.row['filter']}: {made.row['reason']}")
    out_file.parent.mkdir(parents=True, exist_ok=True)
    made.image.save(out_file, quality=PICTURE_QUALITY)


def _write_groups(made: "list[GeneratedComposite]", out_file: Path) -> None:
    from facestats_pipeline.core.composites.composite_sheet import composite_sheet

    if all(one.image is None for one in made):
        raise FaceStatsError("every group was refused:\n" + "\n".join(f"  {one.row['reason']}" for one in made))
    out_file.parent.mkdir(parents=True, exist_ok=True)
    composite_sheet(made, columns=5, thumb=320).save(out_file, quality=PICTURE_QUALITY)


def _write_pair(first: "GeneratedComposite", second: "GeneratedComposite", out_file: Path, difference: bool) -> None:
    from facestats_pipeline.core.composites.comparisons import check_pair, side_by_side
    from facestats_pipeline.core.composites.morph import write_morph

    check_pair(first, second)
    assert first.image is not None and second.image is not None
    if out_file.suffix.lower() in FILMS:
        write_morph(first.image, second.image, out_file)
        return
    out_file.parent.mkdir(parents=True, exist_ok=True)
    side_by_side(first, second, difference=difference).save(out_file, quality=PICTURE_QUALITY)


def _tell(row: dict[str, Any]) -> None:
    if row["status"] == "refused":
        out.print(f"[yellow]refused[/] {escape(row['caption'])}: {escape(row['reason'])}")
        return
    applied = "" if row["applied"] == row["caption"] else f" {row['applied']},"
    out.print(f"{row['caption']}: {row['n_used']} faces,{applied} {row['method']}", markup=False)
    for relaxed in row["relaxed"]:
        out.print(f"[yellow]relaxed[/] {escape(relaxed)}")
    if row["reason"]:
        out.print(f"[yellow]note[/] {escape(row['reason'])}")


def _range(option: str, text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    low, colon, high = text.partition(":")
    try:
        return float(low), float(high if colon else low)
    except ValueError:
        raise FaceStatsError(f"{option} {text}: give LO:HI, for example 20:29") from None


def _whole(option: str, text: str | None) -> tuple[int, int] | None:
    numbers = _range(option, text)
    return (int(numbers[0]), int(numbers[1])) if numbers else None
