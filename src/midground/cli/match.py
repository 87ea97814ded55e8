"""``midground match``: what one matcher finds between two images."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from midground.cli import options
from midground.cli.exits import EXIT_REJECTED
from midground.cli.outputs import all_or_none, write_text
from midground.cli.progress import progress_bars
from midground.cli.results import STDOUT
from midground.errors import RegistrationError

if TYPE_CHECKING:
    import numpy as np

    from midground.core.correspondences import Correspondences
    from midground.core.image import Image
    from midground.core.progress import Progress
    from midground.core.transforms import TransformKind
    from midground.matching.base import Matcher
    from midground.modality.base import Mapper
    from midground.registration.config import InputConfig

MATCHES_SCHEMA = "midground/matches/1"


def match(
    moving: Annotated[Path, typer.Argument(metavar="MOVING", help="First image, on the left of the picture.")],
    fixed: Annotated[Path, typer.Argument(metavar="FIXED", help="Second image, on the right of the picture.")],
    matcher: Annotated[str, typer.Option("--matcher", metavar="NAME", help="sift, template, xfeat or roma-shared.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Picture of the matches (.png or .jpg).")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE|-", help="Matches as JSON; - is standard output.")
    ] = None,
    model: options.ModelOption = "default",
    transform: Annotated[
        str, typer.Option("--transform", metavar="KIND", help="translation, similarity, affine or homography.")
    ] = "affine",
    moving_modality: options.ModalityOption = None,
    fixed_modality: options.ModalityOption = None,
    sar_scale: options.SarScaleOption = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="A setting of the matcher, for instance ratio=0.9; repeatable."
        ),
    ] = None,
    seed: options.SeedOption = 0,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
) -> int:
    """Match two images pixel by pixel, whatever their georeference; exit 3 if no transform is supported."""
    from midground.cli.config_file import resolve_config
    from midground.core.transforms import TRANSFORM_KINDS
    from midground.matching.registry import MATCHERS, build_matcher
    from midground.modality.mappers import build_mapper
    from midground.registration.config import InputConfig
    from midground.registration.save import as_json

    options.require_known("matcher", matcher, MATCHERS)
    options.require_known("transform", transform, TRANSFORM_KINDS)
    if output is not None:
        options.require_known("picture format", output.suffix.lower(), (".jpg", ".png"))
    config = resolve_config(MATCHERS[matcher].config, settings=settings or ())
    inputs = [
        resolve_config(InputConfig, options={"modality": modality, "sar_scale": sar_scale})
        for modality in (moving_modality, fixed_modality)
    ]
    sources = [options.existing(path) for path in (moving, fixed)]
    is_stdout_taken = json_file == STDOUT
    with all_or_none(sources) as outputs:
        picture = None if output is None else outputs.add(output)
        listing = None if json_file is None or is_stdout_taken else outputs.add(json_file)
        with progress_bars(quiet=quiet) as progress:
            pair = _map_pair(sources, inputs, build_mapper(model), progress)
            found = _match(pair, build_matcher(config), kind=transform, seed=seed)  # type: ignore[arg-type]
        described = found.to_dict() | {"matcher": matcher, "model": model, "seed": seed}
        if picture is not None:
            _write_picture(picture, pair, found)
        if listing is not None:
            write_text(listing, as_json(described) + "\n")
    if is_stdout_taken:
        typer.echo(as_json(described))
    if not quiet:
        counts = f"{len(found.matches)} matches, {int(found.inliers.sum())} inliers, {found.seconds:.2f} s"
        typer.echo("\n".join([counts, *map(str, outputs)]), err=is_stdout_taken)
    if found.failure is not None:
        typer.echo(f"midground: no transform: {found.failure}", err=True)
        return EXIT_REJECTED
    return 0


@dataclass(frozen=True, slots=True)
class _Pair:
    """Both images as the matcher sees them, and as they are drawn."""

    moving: Image
    fixed: Image
    shown: tuple[Image, Image]
    """Moving and fixed, before mapping."""
    seconds: float
    """Time spent on mapping."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What a matcher found."""

    matches: Correspondences
    inliers: np.ndarray
    fixed_from_moving: np.ndarray | None
    kind: TransformKind
    failure: str | None
    seconds: float
    """Mapping, matching and estimation; reading is not counted."""

    def to_dict(self) -> dict[str, object]:
        """As plain values for JSON."""
        return {
            "schema": MATCHES_SCHEMA,
            "moving_xy": self.matches.moving_xy.tolist(),
            "fixed_xy": self.matches.fixed_xy.tolist(),
            "score": self.matches.score.tolist(),
            "inliers": self.inliers.tolist(),
            "transform": self.kind,
            "fixed_from_moving": None if self.fixed_from_moving is None else self.fixed_from_moving.tolist(),
            "failure": self.failure,
            "seconds": self.seconds,
        }


def _map_pair(sources: list[Path], inputs: list[InputConfig], mapper: Mapper, progress: Progress) -> _Pair:
    from midground.registration.inputs import open_sources

    (moving, fixed), (moving_config, fixed_config) = sources, inputs
    opened = open_sources(fixed, moving, (fixed_config, moving_config), mapper.inputs)
    units = [source.unit(source.grid, mapper.inputs[source.modality]) for source in opened]
    start = time.perf_counter()
    fixed_image, moving_image = (
        mapper.map(unit, source.modality, progress=progress) for unit, source in zip(units, opened, strict=True)
    )
    return _Pair(moving_image, fixed_image, (units[1], units[0]), time.perf_counter() - start)


def _match(pair: _Pair, matcher: Matcher, *, kind: TransformKind, seed: int) -> _Found:
    import numpy as np

    from midground.registration.config import EstimateConfig
    from midground.registration.estimate import estimate_transform

    start = time.perf_counter()
    matches = matcher.match(pair.moving, pair.fixed)
    matrix, failure, inliers = None, None, np.zeros(len(matches), bool)
    try:
        estimate = estimate_transform(matches, kind, EstimateConfig(seed=seed))
        matrix, inliers = estimate.transform.matrix, estimate.inliers
    except RegistrationError as error:
        failure = str(error)
    seconds = pair.seconds + time.perf_counter() - start
    return _Found(matches, inliers, matrix, kind, failure, seconds)


def _write_picture(path: Path, pair: _Pair, found: _Found) -> None:
    from midground.report.figures import draw_matches, write_picture

    write_picture(path, draw_matches(*pair.shown, found.matches, found.inliers))
