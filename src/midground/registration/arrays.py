"""Register by content alone: arrays, or files without georeference. All shifts are tried, then rotations and scales."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from midground.core.image import REPEATED_WITHIN, Image
from midground.core.progress import Progress, silent
from midground.core.transforms import Transform
from midground.errors import ConfigError, InputError
from midground.geo.correction import Correction
from midground.geo.grid import Grid
from midground.modality.base import Mapper, Modality
from midground.modality.structure import StructureMapper
from midground.registration.config import RegisterConfig
from midground.registration.inputs import Working, array_source, map_values, settle_modalities
from midground.registration.level import Attempt, attempt
from midground.registration.outcome import Frame, Shown, assemble
from midground.registration.pair import warp_image
from midground.registration.result import Registration
from midground.registration.run import Run, Stopwatch, build_mappers, most_particular
from midground.registration.similarity import FoundSimilarity, search_similarity
from midground.registration.verdict import judge

WORKING_PX = 1536
"""Longest side of the working grid; larger images are reduced."""
MIN_SIDE_PX = 64
_SIMILARITY_REACH_PX = 24
"""Largest shift searched after the moving image was turned and scaled."""
_MIN_OVERLAP = 0.3


@dataclass(frozen=True, slots=True)
class ContentAttempt:
    """An attempt with what its pixels mean."""

    best: Attempt
    working: Working
    fixed_from_working: Transform
    moving_from_working: Transform

    @property
    def frame(self) -> Frame:
        """How the attempt's pixels relate to full resolution."""
        return Frame.by_pixels(self.fixed_from_working, self.moving_from_working)

    @property
    def shown(self) -> Shown:
        """Images for the report."""
        return Shown(self.working, self.frame, None if self.best.lead is None else self.best.lead.transform)

    def correction(self, fixed: Grid, moving: Grid) -> Correction | None:
        """The transform at full resolution; None if none was found."""
        if self.best.lead is None:
            return None
        found = self.best.lead.transform
        matrix = (self.fixed_from_working @ found @ self.moving_from_working.inverse()).matrix
        return Correction.from_pixels(matrix, fixed=fixed, moving=moving, kind=found.kind)


def register_arrays(
    fixed: np.ndarray | Image,
    moving: np.ndarray | Image,
    config: RegisterConfig,
    *,
    search_px: int | None = None,
    progress: Progress = silent,
) -> Registration:
    """Register two arrays of roughly the same scale.

    Args:
        fixed: The image that stays, (h, w) or (c, h, w); of equal bands, as grey saved as colour has, one counts.
        moving: The image that is brought onto it.
        config: Settings; distances on the ground have no meaning here.
        search_px: Largest shift, px; half the image if omitted.
        progress: Told about the windows matched.

    Raises:
        InputError: An array cannot be used.
        ConfigError: It has several bands that differ, and not as many as the mappers want.
    """
    mappers = build_mappers(config)
    images = [array if isinstance(array, Image) else Image.from_array(array) for array in (fixed, moving)]
    dtypes = [str(array.channels.dtype if isinstance(array, Image) else array.dtype) for array in (fixed, moving)]
    guesses: list[tuple[Modality | None, str]] = [(None, ""), (None, "")]
    settled = settle_modalities([config.fixed.modality, config.moving.modality], guesses)
    sources = [
        array_source(_as_wanted(image, dtype, mappers, modality), modality, settings, dtype, sentence)
        for image, (modality, sentence), settings, dtype in zip(
            images, settled, (config.fixed, config.moving), dtypes, strict=True
        )
    ]
    run = Run(
        fixed=sources[0],
        moving=sources[1],
        mappers=mappers,
        config=config,
        watch=Stopwatch(),
        progress=progress,
    )
    return register_by_content(run, search_px=search_px)


def register_by_content(run: Run, *, search_px: int | None = None) -> Registration:
    """Register two sources without using where they lie.

    Every shift is searched at the scale that the georeference, if there is one, suggests. If that is not accepted,
    every rotation and scale is searched as well, and the first search repeated around what was found; and once more
    around what a dense matcher finds, if that is not accepted either.

    Args:
        run: Inputs and settings.
        search_px: Largest shift, full-resolution pixels of the fixed image; half the image if omitted.
    """
    with run.watch("matching"):
        found = _best_by_content(run, search_px)
    correction = found.correction(run.fixed.grid, run.moving.grid)
    return assemble(run, found.best, found.frame, found.shown, correction)


def _best_by_content(run: Run, search_px: int | None) -> ContentAttempt:
    fixed, moving = run.fixed, run.moving
    fixed_grid = fixed.grid.fitted(WORKING_PX)
    reduction = fixed_grid.hw[1] / fixed.grid.hw[1]
    gsds_m = moving.grid.gsd_m, fixed.grid.gsd_m
    relative = gsds_m[0] / gsds_m[1] if gsds_m[0] and gsds_m[1] else 1.0
    moving_grid = moving.grid.scaled(reduction * relative).fitted(2 * WORKING_PX)
    fixed_values, moving_values = fixed.log_scaled(fixed_grid), moving.log_scaled(moving_grid)
    fixed_from_working, moving_from_working = _between(fixed_grid, fixed.grid), _between(moving_grid, moving.grid)
    reach = max(*fixed_grid.hw, *moving_grid.hw) // 2 if search_px is None else int(np.ceil(search_px * reduction))
    working = map_values(fixed, fixed_values, moving, moving_values, run.mappers)
    whole = ContentAttempt(_attempt(run, working, reach), working, fixed_from_working, moving_from_working)
    if whole.best.judgement.verdict == "accept" or search_px is not None:
        return whole
    tried = [whole]
    for similarity in _similarities(run, fixed_values, moving_values):
        turned = similarity.transform
        warped = warp_image(moving_values, turned, fixed_grid.hw)
        if not warped.valid.any():
            continue
        working = map_values(fixed, fixed_values, moving, warped, run.mappers)
        guided = _knowing_rotation(_attempt(run, working, _SIMILARITY_REACH_PX), similarity)
        tried.append(ContentAttempt(guided, working, fixed_from_working, moving_from_working @ turned.inverse()))
        if guided.judgement.verdict == "accept":
            break
    return min(tried, key=lambda found: found.best.judgement.rank)


def _knowing_rotation(found: Attempt, similarity: FoundSimilarity) -> Attempt:
    """Judge again, with what the search for the rotation saw."""
    if found.evidence is None:
        return found
    evidence = replace(found.evidence, rotation_ratio=similarity.score_ratio)
    return replace(found, evidence=evidence, judgement=judge(evidence))


def _attempt(run: Run, working: Working, search_px: int) -> Attempt:
    return attempt(
        working.pairs,
        search_px,
        run.config,
        georeferenced=False,
        min_overlap=_MIN_OVERLAP,
        progress=run.progress,
    )


def _similarities(run: Run, fixed_values: Image, moving_values: Image) -> Iterator[FoundSimilarity]:
    """Rotation, scale and shift of values read before; maps of `structure` are quick to make, and enough."""
    mapper = StructureMapper()
    moving, fixed = run.moving, run.fixed
    moving_unit = moving.to_unit(moving_values, mapper.inputs[moving.modality])
    fixed_unit = fixed.to_unit(fixed_values, mapper.inputs[fixed.modality])
    return search_similarity(
        mapper, (moving_unit, moving.modality), (fixed_unit, fixed.modality), run.config.similarity
    )


def _between(small: Grid, full: Grid) -> Transform:
    """Takes pixel centres of a reduced grid to those of the full one with the same footprint."""
    sx, sy = full.hw[1] / small.hw[1], full.hw[0] / small.hw[0]
    return Transform(np.array([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2], [0, 0, 1]]), "affine")


def _as_wanted(image: Image, dtype: str, mappers: Sequence[Mapper], modality: Modality) -> Image:
    """Repeat a single band, or take one of several that are equal, as the most particular mapper's input asks for."""
    if min(image.hw) < MIN_SIDE_PX:
        raise InputError(f"The {modality} array has {image.hw[0]} × {image.hw[1]} px; {MIN_SIDE_PX} px are needed.")
    particular = most_particular(mappers)
    n_wanted = len(particular.inputs[modality].bands)
    if image.n_channels == n_wanted:
        return image
    if image.is_repeated(REPEATED_WITHIN if dtype == "uint8" else 0.0):
        return Image(np.repeat(image.channels[:1], n_wanted, axis=0), image.valid)
    first = "array[:1], the first band" if n_wanted == 1 else f"array[:{n_wanted}], the first {n_wanted} bands"
    raise ConfigError(
        f"The {modality} array has {image.n_channels} bands, but '{particular.name}' wants {n_wanted}: pass those, for "
        f"instance {first} of an array (c, h, w)."
    )
