"""Mapping a pair of images once, and what each matcher finds between them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from midground.errors import ConfigError, DependencyError, InputError, ModelError, RegistrationError

if TYPE_CHECKING:
    import numpy as np

    from midground.core.correspondences import Correspondences
    from midground.core.image import Image
    from midground.core.progress import Progress
    from midground.core.transforms import TransformKind
    from midground.matching.base import Matcher
    from midground.matching.configs import MatcherConfig
    from midground.modality.base import Mapper
    from midground.registration.config import InputConfig
    from midground.registration.result import Inputs

MATCHES_SCHEMA = "midground/matches/1"


@dataclass(frozen=True, slots=True)
class MappedPair:
    """Both images as a matcher sees them, and as they are drawn."""

    moving: Image
    fixed: Image
    shown: tuple[Image, Image]
    """Moving and fixed, before mapping."""
    inputs: Inputs
    """How both were read."""
    seconds: float
    """Time spent on mapping."""

    def read_as(self) -> dict[str, object]:
        """How both were read, as plain values for JSON."""
        return asdict(self.inputs)


@dataclass(frozen=True, slots=True)
class Found:
    """What a matcher found."""

    matches: Correspondences
    inliers: np.ndarray
    fixed_from_moving: np.ndarray | None
    kind: TransformKind
    residual_rmse_px: float | None
    """Root mean square distance of the inliers from the transform; None without one."""
    failure: str | None
    seconds: float
    """Mapping, matching and estimation; reading is not counted."""

    @property
    def n_inliers(self) -> int:
        """Matches that support the transform."""
        return int(self.inliers.sum())

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
            "residual_rmse_px": self.residual_rmse_px,
            "failure": self.failure,
            "seconds": self.seconds,
        }


def map_pair(sources: Sequence[Path], inputs: Sequence[InputConfig], mapper: Mapper, progress: Progress) -> MappedPair:
    """Open and map two images, pixel by pixel, whatever their georeference.

    Args:
        sources: Moving and fixed.
        inputs: How to open them.
        mapper: What maps both.
        progress: Told about the windows mapped.
    """
    from midground.registration.inputs import open_sources
    from midground.registration.result import Inputs

    (moving, fixed), (moving_config, fixed_config) = sources, inputs
    opened = open_sources(fixed, moving, (fixed_config, moving_config), mapper.inputs)
    units = [source.unit(source.grid, mapper.inputs[source.modality]) for source in opened]
    start = time.perf_counter()
    fixed_image, moving_image = (
        mapper.map(unit, source.modality, progress=progress) for unit, source in zip(units, opened, strict=True)
    )
    seconds = time.perf_counter() - start
    read = Inputs(fixed=opened[0].info, moving=opened[1].info)
    return MappedPair(moving_image, fixed_image, (units[1], units[0]), read, seconds)


def build_matchers(configs: Mapping[str, MatcherConfig], left_out: dict[str, str] | None) -> dict[str, Matcher]:
    """Build matchers by name.

    Args:
        configs: Their settings by name.
        left_out: Takes the reason of each one that cannot be built; None if every one is needed.

    Raises:
        DependencyError: A matcher that is needed has an extra that is not installed.
        ModelError: The weights of one that is needed are missing or are not what they should be.
    """
    from midground.matching.registry import build_matcher

    matchers = {}
    for name, config in configs.items():
        try:
            matchers[name] = build_matcher(config)
        except (DependencyError, ModelError) as error:
            if left_out is None:
                raise
            left_out[name] = str(error)
    return matchers


def wanted_by(configs: Mapping[str, MatcherConfig]) -> dict[str, str]:
    """Mapper by matcher, of the matchers that were trained on images of a certain one.

    Raises:
        ModelError: The card of a matcher is missing or damaged.
    """
    from midground.matching.registry import wanted_mapper

    wanted = {name: wanted_mapper(config) for name, config in configs.items()}
    return {name: mapper for name, mapper in wanted.items() if mapper is not None}


def choose_mapper(given: str | None, wanted: Mapping[str, str]) -> tuple[str, Mapper]:
    """The mapper that was asked for, else the one that all particular matchers want, else the default; with its name.

    Args:
        given: What the user named.
        wanted: Mapper by matcher.

    Raises:
        ConfigError: No mapper has this name.
        ModelError: Its bundle is damaged.
    """
    from midground.modality.mappers import build_mapper

    mappers = set(wanted.values())
    if given is not None or len(mappers) != 1:
        name = "default" if given is None else given
        return name, build_mapper(name)
    (name,) = mappers
    try:
        return name, build_mapper(name)
    except ConfigError as error:
        raise ConfigError(
            f"The matcher '{next(iter(wanted))}' was trained on images of '{name}', and no model has this name here; "
            "give the folder of its bundle as --model."
        ) from error


def match_pair(
    pair: MappedPair,
    matchers: Mapping[str, Matcher],
    left_out: dict[str, str] | None,
    wanted: Mapping[str, str],
    *,
    kind: TransformKind,
    seed: int,
    progress: Progress,
) -> dict[str, Found]:
    """Let every matcher match the same mapped images.

    Args:
        pair: The images.
        matchers: By name.
        left_out: Takes the reason of each one that does not take these images; None if every one is needed.
        wanted: Mapper by matcher, for the message of one that does not take these images.
        kind: Transform to estimate.
        seed: Seed of the estimation.
        progress: Told about the matchers done.

    Raises:
        InputError: A matcher that is needed does not take these images.
    """
    found = {}
    for index, (name, matcher) in enumerate(matchers.items()):
        progress("matching", index, len(matchers))
        try:
            found[name] = _match(pair, matcher, kind=kind, seed=seed)
        except InputError as error:
            remedy = f" (--model {wanted[name]})." if name in wanted else "."
            reason = str(error).removesuffix(".") + remedy
            if left_out is None:
                raise InputError(reason) from error
            left_out[name] = reason
    return found


def _match(pair: MappedPair, matcher: Matcher, *, kind: TransformKind, seed: int) -> Found:
    import numpy as np

    from midground.registration.config import EstimateConfig
    from midground.registration.estimate import estimate_transform, residuals_px

    start = time.perf_counter()
    matches = matcher.match(pair.moving, pair.fixed)
    matrix, rmse_px, failure, inliers = None, None, None, np.zeros(len(matches), bool)
    try:
        estimate = estimate_transform(matches, kind, EstimateConfig(seed=seed))
        matrix, inliers = estimate.transform.matrix, estimate.inliers
        rmse_px = float(np.sqrt(np.mean(residuals_px(estimate.transform, matches.select(inliers)) ** 2)))
    except RegistrationError as error:
        failure = str(error)
    seconds = pair.seconds + time.perf_counter() - start
    return Found(matches, inliers, matrix, kind, rmse_px, failure, seconds)
