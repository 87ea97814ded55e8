"""Register SAR onto optical satellite images through a shared modality, and say whether to trust the result.

    import midground as mg

    result = mg.register("optical.tif", "sar.tif")
    result.verdict, result.reasons

Names are imported when they are first used, so that ``import midground`` loads no image, raster or network library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from midground.core.correspondences import Correspondences
    from midground.core.image import Image
    from midground.core.transforms import Transform
    from midground.errors import MidgroundError
    from midground.geo.correction import Correction
    from midground.matching.configs import TemplateConfig
    from midground.matching.registry import build_matcher
    from midground.modality.mappers import build_mapper
    from midground.registration.api import register
    from midground.registration.config import EstimateConfig, InputConfig, RegisterConfig
    from midground.registration.result import Registration
    from midground.report.html import write_report
    from midground.simulate.scene import simulate_scene_pair

    __version__: str

_HOMES = {
    "Correction": "midground.geo.correction",
    "Correspondences": "midground.core.correspondences",
    "EstimateConfig": "midground.registration.config",
    "Image": "midground.core.image",
    "InputConfig": "midground.registration.config",
    "MidgroundError": "midground.errors",
    "RegisterConfig": "midground.registration.config",
    "Registration": "midground.registration.result",
    "TemplateConfig": "midground.matching.configs",
    "Transform": "midground.core.transforms",
    "build_mapper": "midground.modality.mappers",
    "build_matcher": "midground.matching.registry",
    "register": "midground.registration.api",
    "simulate_scene_pair": "midground.simulate.scene",
    "write_report": "midground.report.html",
}

__all__ = [
    "Correction",
    "Correspondences",
    "EstimateConfig",
    "Image",
    "InputConfig",
    "MidgroundError",
    "RegisterConfig",
    "Registration",
    "TemplateConfig",
    "Transform",
    "build_mapper",
    "build_matcher",
    "register",
    "simulate_scene_pair",
    "write_report",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("midground")
    if name not in _HOMES:
        raise AttributeError(f"module 'midground' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
