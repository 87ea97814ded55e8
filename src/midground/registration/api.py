"""The function that most programs need."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from midground.core.image import Image
from midground.core.progress import Progress, silent
from midground.errors import ConfigError, unknown_name
from midground.registration.arrays import register_arrays
from midground.registration.config import RegisterConfig
from midground.registration.result import Registration
from midground.registration.scene import register_files

Source = str | Path | np.ndarray | Image


def register(
    fixed: Source,
    moving: Source,
    *,
    config: RegisterConfig | None = None,
    search_px: int | None = None,
    progress: Progress = silent,
    **settings: object,
) -> Registration:
    """Find the transform that lays one image onto another, and judge it.

    Two files may differ in coordinate reference system, resolution, extent, data type and bands. Two arrays should have
    about the same scale. A rejected registration is returned like any other: look at ``verdict`` before using it.

    Args:
        fixed: The image that stays, usually the optical one: a file, or an array (h, w) or (c, h, w).
        moving: The image that is brought onto it, usually SAR; a file if ``fixed`` is one.
        config: Settings; the defaults if omitted.
        search_px: Arrays only: largest shift, px; half the image if omitted.
        progress: Told about the stages.
        settings: Single settings of :class:`RegisterConfig` by name, for instance ``transform="translation"``.

    Raises:
        InputError: An image cannot be used, or the two do not overlap.
        ConfigError: A setting does not exist or is out of range.
        ModelError: The learned model is damaged.
    """
    config = _with_settings(RegisterConfig() if config is None else config, settings)
    if isinstance(fixed, str | Path) and isinstance(moving, str | Path):
        if search_px is not None:
            raise ConfigError("search_px is for arrays; files take search_m, in metres.")
        return register_files(fixed, moving, config, progress=progress)
    if isinstance(fixed, str | Path) or isinstance(moving, str | Path):
        raise ConfigError("Pass two files or two arrays, not one of each.")
    return register_arrays(fixed, moving, config, search_px=search_px, progress=progress)


def _with_settings(config: RegisterConfig, settings: dict[str, object]) -> RegisterConfig:
    known = [item.name for item in fields(RegisterConfig)]
    for name in settings:
        if name not in known:
            raise unknown_name("setting", name, known)
    return replace(config, **settings)  # type: ignore[arg-type]  # the config checks its own values
