"""What a benchmark compares: matchers behind a mapper, the whole registration, and a control that sees nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from midground.bench.hopc import HopcMatcher
from midground.bench.mutual_information import MutualInformationMatcher
from midground.core.correspondences import Correspondences
from midground.core.image import Image
from midground.core.transforms import Transform
from midground.errors import ConfigError, InputError, ModelError, RegistrationError, unknown_name
from midground.matching.base import Matcher
from midground.matching.configs import MatcherConfig, TemplateConfig
from midground.matching.registry import MATCHERS, build_matcher
from midground.modality.base import Mapper
from midground.registration.api import register
from midground.registration.config import (
    EstimateConfig,
    InputConfig,
    Lead,
    RegisterConfig,
    SimilarityConfig,
    TransformChoice,
)

_PROBE_HW = (128, 128)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterMethodConfig:
    """The whole of ``midground register``, with the model as the witness; a rejected result is a failure.

    Its matches are guided: tie points that were searched for around its own first transform. What only rasters with a
    georeference need, such as ``search_m``, has no place here.
    """

    name: Literal["register"] = "register"
    """Tag of this method."""
    transform: TransformChoice = "affine"
    """Model of the transform; auto chooses it by the error of tie points held out."""
    lead: Lead = "structure"
    """Whose tie points make the transform, if there is a model; the other one is the independent witness."""
    similarity: SimilarityConfig = field(default_factory=SimilarityConfig)
    """Rotations and scales searched, and the dense matcher that is asked last."""
    template: TemplateConfig = field(default_factory=TemplateConfig)
    """Area-based matching of the tie points."""
    estimate: EstimateConfig = field(default_factory=EstimateConfig)
    """Robust fit."""
    seed: int = 0
    """Seed of everything random, that of the robust fit included."""

    def __post_init__(self) -> None:
        self.registration(None)

    def registration(self, model: str | None) -> RegisterConfig:
        """Settings for SAR images of 8 bit.

        Args:
            model: Learned shared modality; None for ``structure`` alone.

        Raises:
            ConfigError: The settings are out of range.
        """
        return RegisterConfig(
            moving=InputConfig(modality="sar", sar_scale="8bit"),
            model=model,
            transform=self.transform,
            lead=self.lead,
            similarity=self.similarity,
            template=self.template,
            estimate=self.estimate,
            seed=self.seed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentBlindConfig:
    """A control that looks at no pixel: it says that each point lies where it lay, with noise."""

    name: Literal["content-blind"] = "content-blind"
    """Tag of this method."""
    n_matches: int = 1000
    """Points, spread evenly at random, 4 or more."""
    noise_px: float = 3.0
    """Standard deviation of the noise in x and y, px."""
    seed: int = 0
    """Seed of the points and the noise."""

    def __post_init__(self) -> None:
        if self.n_matches < 4 or self.noise_px < 0:
            raise ConfigError("content-blind: n_matches must be 4 or more, noise_px not negative.")


@dataclass(frozen=True, slots=True, kw_only=True)
class MutualInformationConfig:
    """Windows searched by mutual information, as the area-based method that needs no mapping."""

    name: Literal["mutual-information"] = "mutual-information"
    """Tag of this method."""
    window_px: int = 96
    """Side of the windows, px, 8 or more."""
    spacing_px: int = 32
    """Distance between neighbouring windows, px, 1 or more."""
    search_px: int = 16
    """Largest shift in x and y, px, 1 or more."""

    def __post_init__(self) -> None:
        if self.window_px < 8 or self.spacing_px < 1 or self.search_px < 1:
            raise ConfigError("mutual-information: window_px must be 8 or more, spacing_px and search_px 1 or more.")


@dataclass(frozen=True, slots=True, kw_only=True)
class HopcConfig:
    """Windows searched by histograms of oriented phase congruency, as ``template`` searches them."""

    name: Literal["hopc"] = "hopc"
    """Tag of this method."""
    search_px: int = 16
    """Largest shift in x and y, px, 1 or more."""

    def __post_init__(self) -> None:
        if self.search_px < 1:
            raise ConfigError("hopc: search_px must be 1 or more.")


MethodConfig = MatcherConfig | RegisterMethodConfig | ContentBlindConfig | MutualInformationConfig | HopcConfig
METHODS: Mapping[str, type[MethodConfig]] = MappingProxyType(
    {
        **{name: spec.config for name, spec in MATCHERS.items()},
        "register": RegisterMethodConfig,
        "content-blind": ContentBlindConfig,
        "mutual-information": MutualInformationConfig,
        "hopc": HopcConfig,
    }
)
"""Every matcher of the table, and what is no matcher."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a method makes of two images."""

    matches: Correspondences
    estimates: bool = False
    """Whether the method estimates the transform itself; otherwise it is fitted to the matches."""
    transform: Transform | None = None
    """Its estimate; None if it has none."""


@runtime_checkable
class Method(Protocol):
    """Finds the same places in two unit-scaled images."""

    def find(self, sar: Image, optical: Image) -> Found:
        """Look for matches from the SAR image (moving) to the optical one (fixed).

        Raises:
            RegistrationError: There is no acceptable answer.
            InputError: The images cannot be used.
        """
        ...

    def require_fit(self, n_sar: int, n_optical: int) -> None:
        """Make sure that images of so many channels are taken, whatever they show.

        Raises:
            ModelError: The mapper does not take them, or the matcher does not take what the mapper makes of them.
        """
        ...


def build_method(config: MethodConfig, mapper: Mapper, model: str) -> Method:
    """Build a method.

    Args:
        config: Which one.
        mapper: What maps the images before they are matched.
        model: The same by name, for the registration, which builds its own.

    Raises:
        DependencyError: A matcher needs an extra that is not installed.
        ModelError: A matcher's weights are missing.
    """
    if isinstance(config, RegisterMethodConfig):
        return _Registration(config.registration(None if model == "none" else model))
    if isinstance(config, ContentBlindConfig):
        return _ContentBlind(config)
    if isinstance(config, MutualInformationConfig):
        matcher = MutualInformationMatcher(
            window_px=config.window_px, spacing_px=config.spacing_px, search_px=config.search_px
        )
        return _MappedMatcher(mapper, matcher)
    if isinstance(config, HopcConfig):
        return _MappedMatcher(mapper, HopcMatcher(search_px=config.search_px))
    return _MappedMatcher(mapper, build_matcher(config))


def method_config_type(name: str) -> type[MethodConfig]:
    """Class of a method's settings.

    Raises:
        ConfigError: No method has this name.
    """
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    return METHODS[name]


@dataclass(frozen=True, slots=True)
class _MappedMatcher:
    mapper: Mapper
    matcher: Matcher

    def find(self, sar: Image, optical: Image) -> Found:
        return Found(self.matcher.match(self.mapper.map(sar, "sar"), self.mapper.map(optical, "optical")))

    def require_fit(self, n_sar: int, n_optical: int) -> None:
        try:
            self.find(_without_data(n_sar), _without_data(n_optical))
        except InputError as error:
            raise ModelError(str(error)) from error


@dataclass(frozen=True, slots=True)
class _Registration:
    config: RegisterConfig

    def find(self, sar: Image, optical: Image) -> Found:
        # Scaled to the range that the settings name: unit-scaled values of a logarithmic image are no power.
        result = register(optical, Image(sar.channels * np.float32(255), sar.valid), config=self.config)
        if result.verdict == "reject" or result.fixed_from_moving is None:
            raise RegistrationError(" ".join(result.reasons))
        points = result.tie_points
        matches = Correspondences(points.moving_xy, points.fixed_xy, points.score)
        return Found(matches, True, Transform(result.fixed_from_moving))

    def require_fit(self, n_sar: int, n_optical: int) -> None:
        """Whatever does not fit is a ``ConfigError`` of the registration itself."""


@dataclass(frozen=True, slots=True)
class _ContentBlind:
    config: ContentBlindConfig

    def find(self, sar: Image, optical: Image) -> Found:
        rng = np.random.default_rng(self.config.seed)
        extent = np.array([min(sar.hw[1], optical.hw[1]), min(sar.hw[0], optical.hw[0])]) - 1
        points_xy = rng.uniform(0, extent, (self.config.n_matches, 2))
        noise = rng.normal(0, self.config.noise_px, points_xy.shape)
        return Found(Correspondences(points_xy, points_xy + noise, np.ones(len(points_xy))))

    def require_fit(self, n_sar: int, n_optical: int) -> None:
        """It takes anything."""


def _without_data(n_channels: int) -> Image:
    """An image in which nothing can be found, so that networks do not even run."""
    return Image(np.zeros((n_channels, *_PROBE_HW), np.float32), np.zeros(_PROBE_HW, bool))
