"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from midground.errors import ConfigError, InputError, unknown_name

if TYPE_CHECKING:
    from midground.core.transforms import Transform
    from midground.geo.resample import Resampling
    from midground.registration.save import Onto

QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress and no summary.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show a traceback if something fails.")]
ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="NAME|FOLDER",
        help="Shared modality: a name of 'midground models list', a bundle's folder, structure, or none (raw grey).",
    ),
]
ModalityOption = Annotated[
    str | None, typer.Option(metavar="MODALITY", help="sar or optical; read from the bands if omitted.")
]
ConfigFileOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings in YAML; --set and the options above go before it."),
]


def _settings_option(example: str) -> Any:
    return typer.Option("--set", metavar="KEY=VALUE", help=f"One setting, for instance {example}; repeatable.")


SettingsOption = Annotated[list[str] | None, _settings_option("template.window_px=128")]
CollectionSettingsOption = Annotated[list[str] | None, _settings_option("bands_sar=[1]")]
MeasureSettingsOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="One setting of the measurement, such as windows_px=[96,64]."),
]
PairsSettingsOption = Annotated[
    list[str] | None,
    typer.Option("--pairs-set", metavar="KEY=VALUE", help="One setting of the pairs, such as bands_sar=[1]."),
]
LimitOption = Annotated[
    int | None, typer.Option("--limit", min=1, metavar="N", help="Only so many pairs, evenly spread.")
]
TrainSettingsOption = Annotated[list[str] | None, _settings_option("epochs=20")]
MaxMinutesOption = Annotated[
    float | None,
    typer.Option("--max-minutes", metavar="N", help="Stop after so many minutes, more than 0; --resume goes on."),
]
AcceleratorOption = Annotated[str, typer.Option("--accelerator", metavar="NAME", help="auto, cpu or gpu.")]
MethodSettingsOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="METHOD.KEY=VALUE", help="A setting of a method, such as sift.ratio=0.8."),
]
AllowDownloadOption = Annotated[
    bool, typer.Option("--allow-download", help="Let matchers download weights that are not there yet.")
]
WorkersOption = Annotated[int, typer.Option("--workers", min=1, metavar="N", help="Processes.")]
BandsFixedOption = Annotated[
    str | None, typer.Option("--bands-fixed", metavar="N,N,N", help="Bands of the fixed image to use, from 1.")
]
BandsMovingOption = Annotated[
    str | None, typer.Option("--bands-moving", metavar="N,N,N", help="Bands of the moving image to use, from 1.")
]
SarScaleOption = Annotated[
    str | None,
    typer.Option("--sar-scale", metavar="SCALE", help="Scale of the SAR values: power, amplitude, db or 8bit."),
]
OntoOption = Annotated[
    str,
    typer.Option(
        "--onto",
        metavar="GRID",
        help="Grid of the aligned raster: fixed, own, or georeference (pixels untouched, position corrected).",
    ),
]
ResamplingOption = Annotated[str, typer.Option("--resampling", metavar="METHOD", help="nearest, bilinear or cubic.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")]


def parse_bands(option: str, text: str | None) -> tuple[int, ...] | None:
    """Read band numbers such as ``4,3,2``.

    Args:
        option: Name of the option, for the message.
        text: What was given.

    Raises:
        ConfigError: Not a list of numbers from 1.
    """
    if text is None:
        return None
    try:
        bands = tuple(int(word) for word in text.split(","))
    except ValueError:
        bands = ()
    if not bands or min(bands) < 1:
        raise ConfigError(f"{option} takes band numbers counted from 1, such as 4,3,2; found '{text}'.")
    return bands


def parse_shift(option: str, text: str | None) -> tuple[float, float] | None:
    """Read a pair of metres such as ``120,-40``.

    Args:
        option: Name of the option, for the message.
        text: What was given.

    Raises:
        ConfigError: Not two numbers.
    """
    if text is None:
        return None
    try:
        east, north = (float(word) for word in text.split(","))
    except ValueError:
        raise ConfigError(f"{option} takes metres east and north, such as 120,-40; found '{text}'.") from None
    return east, north


def settings_by_name(kind: str, settings: Iterable[str], names: Sequence[str]) -> dict[str, list[str]]:
    """Settings of each of several things from ``NAME.KEY=VALUE``, without the name.

    Args:
        kind: What the names name, such as ``"matcher"``, for the message.
        settings: Values of ``--set``.
        names: All that are named; each is a key of the result.

    Raises:
        ConfigError: A setting does not begin with one of them.
    """
    own: dict[str, list[str]] = {name: [] for name in names}
    for setting in settings:
        name, _, rest = setting.partition(".")
        if name not in own or not rest:
            raise ConfigError(
                f"--set takes {kind.upper()}.KEY=VALUE with one of {', '.join(names)} for {kind.upper()}; "
                f"found '{setting}'."
            )
        own[name].append(rest)
    return own


def names_windows(settings: Iterable[str] | None) -> bool:
    """Whether settings of a measurement say which windows are searched; else those that fit into the pairs are."""
    return any(setting.partition("=")[0] == "windows_px" for setting in settings or ())


def download_permission(kind: type, *, allowed: bool) -> dict[str, object]:
    """What ``--allow-download`` sets of the settings of a matcher, which may have no such setting."""
    can_download = any(field.name == "allow_download" for field in dataclasses.fields(kind))
    return {"allow_download": True} if allowed and can_download else {}


def require_known(kind: str, name: str, known: Iterable[str]) -> str:
    """Give a name back if it is in a table.

    Raises:
        ConfigError: It is not; the nearest known name is offered.
    """
    known = tuple(known)
    if name not in known:
        raise unknown_name(kind, name, known)
    return name


def require_geotiff(path: Path) -> None:
    """Refuse a name that would lie about the format of a raster.

    Raises:
        ConfigError: It does not end as a GeoTIFF's does.
    """
    if path.suffix.lower() not in (".tif", ".tiff"):
        raise ConfigError(f"{path}: rasters are written as GeoTIFF; name a file that ends in .tif or .tiff.")


@dataclass(frozen=True, slots=True)
class Warping:
    """How an aligned raster is made."""

    onto: Onto
    resampling: Resampling


def parse_warping(onto: str, resampling: str) -> Warping:
    """Check the options that decide how an aligned raster is made.

    Raises:
        ConfigError: An unknown name.
    """
    from midground.geo.resample import RESAMPLINGS
    from midground.registration.save import ONTO

    return Warping(
        cast("Onto", require_known("grid", onto, ONTO)),
        cast("Resampling", require_known("resampling", resampling, RESAMPLINGS)),
    )


def read_known_transform(path: Path) -> Transform:
    """Read ``fixed_from_moving`` of a file such as ``simulate`` writes.

    Raises:
        InputError: The file is missing or holds no transform.
    """
    import numpy as np

    from midground.core.transforms import Transform

    try:
        matrix = json.loads(existing(path).read_text(encoding="utf-8"))["fixed_from_moving"]
        return Transform(np.array(matrix, dtype=np.float64), "homography")
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: holds no 3×3 matrix 'fixed_from_moving'; give the truth.json of a simulation."
        ) from error


def existing_raster(path: Path) -> Path:
    """Give a path back if there is a file, or if only GDAL can tell, as of a subdataset ``GPKG:file.gpkg:table``.

    Raises:
        InputError: There is none.
    """
    from midground.geo.raster import is_gdal_name

    return path if is_gdal_name(path) else existing(path)


def existing(path: Path) -> Path:
    """Give a path back if there is a file.

    Raises:
        InputError: There is none.
    """
    if not path.exists():
        raise InputError(f"{path}: there is no such file.")
    if path.is_dir():
        raise InputError(f"{path}: this is a folder, a file is expected.")
    return path
