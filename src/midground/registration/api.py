"""The function that most programs need."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from midground.core.image import Image
from midground.core.progress import Progress, silent
from midground.core.settings import changed
from midground.errors import ConfigError, InputError
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
        settings: Single settings of :class:`RegisterConfig` by name, for instance ``transform="translation"`` or
            ``template={"window_px": 64}``; how each image is read, its ``fixed`` and ``moving``, goes by ``config``.

    Raises:
        InputError: An image cannot be used, or the two do not overlap.
        ConfigError: A setting does not exist, or its value is of another type or out of range.
        ModelError: The learned model is damaged.
    """
    if search_px is not None and search_px < 1:
        raise ConfigError(f"search_px must be 1 or more, found {search_px}.")
    config = changed(RegisterConfig() if config is None else config, settings)
    for role, image in (("fixed", fixed), ("moving", moving)):
        if not isinstance(image, Source):
            raise InputError(
                f"The {role} image is a {type(image).__name__}; give a file's name, or an array (h, w) or (c, h, w)."
            )
    if isinstance(fixed, str | Path) and isinstance(moving, str | Path):
        if search_px is not None:
            raise ConfigError("search_px is for arrays; files take search_m, in metres.")
        return register_files(fixed, moving, config, progress=progress)
    if isinstance(fixed, str | Path) or isinstance(moving, str | Path):
        raise ConfigError("Pass two files or two arrays, not one of each.")
    return register_arrays(fixed, moving, config, search_px=search_px, progress=progress)
