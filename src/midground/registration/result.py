"""What a registration returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from midground.core.image import Image
from midground.core.transforms import TransformKind
from midground.geo.correction import Correction
from midground.geo.tiepoints import TiePoints
from midground.modality.base import Modality
from midground.registration.evidence import Evidence
from midground.registration.save import Onto, save_result
from midground.registration.verdict import Verdict

RESULT_SCHEMA = "midground/result/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class InputInfo:
    """What an input was, and how it was read."""

    path: str | None
    hw: tuple[int, int]
    n_bands: int
    dtype: str
    crs: str | None
    gsd_m: float | None
    modality: Modality
    bands: tuple[int, ...]
    assumptions: tuple[str, ...] = ()
    """Sentences: what was not stated by the file and had to be assumed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Both inputs."""

    fixed: InputInfo
    moving: InputInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """The learned model that took part."""

    name: str
    sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """An estimate made independently of the reported one."""

    name: str
    """What it was made from, for instance a mapper or one half of the tie points."""
    shift_px: tuple[float, float] | None
    """Its shift (x, y) at the centre of the moving image, px of the fixed image; None if it found none."""
    disagreement_px: float | None
    """Mean distance to the reported transform over the moving image, px of the fixed image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Previews:
    """Pictures for the report, all on one working grid, channels between 0 and 1."""

    gsd_m: float | None
    fixed: Image
    """Fixed image, 1 or 3 channels."""
    moving_before: Image
    """Moving image where its georeference puts it."""
    moving_after: Image | None
    """Moving image where the registration puts it; None if no transform was found."""
    shared_by: str
    """The mapper that made the next two."""
    shared_fixed: Image
    """Fixed image mapped to the shared modality."""
    shared_moving: Image
    """Moving image mapped to the shared modality, before registration."""
    preview_from_fixed: Float64[np.ndarray, "3 3"]
    """Takes full-resolution pixels of the fixed image to preview pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """The outcome of a registration. Pixels are full-resolution pixels of the fixed image unless said otherwise."""

    verdict: Verdict
    reasons: tuple[str, ...]
    """Sentences that explain the verdict."""
    fixed_from_moving: Float64[np.ndarray, "3 3"] | None
    """Takes pixel centres of the moving image to the fixed one; None only if rejected without any candidate.

    A fit where the two images have different coordinate reference systems: ``correction.to_fixed_px`` is exact."""
    transform: TransformKind | None
    correction: Correction | None = field(repr=False)
    """The same in map coordinates: what can be saved and applied to other rasters."""
    shift_m: tuple[float, float] | None
    """[east, north] by which the moving image's georeference must move, at its centre, m; None without CRS."""
    tie_points: TiePoints = field(repr=False)
    n_matches: int
    n_inliers: int
    residual_rmse_px: float | None
    """Root mean square residual of the tie points used in the fit."""
    ce90_px: float | None
    """90th percentile of the radial residual of tie points held out of the fit in spatial blocks."""
    expected_error_px: float | None
    """Expected error of the transform anywhere in the overlap."""
    trust: float
    """Share of transforms with such evidence that were right in the calibration, 0 to 1."""
    coverage: float
    """Share of the overlap that lies near a tie point used in the fit, 0 to 1."""
    witnesses: tuple[Witness, ...]
    lead: str
    """The mapper whose tie points are reported."""
    inputs: Inputs
    model: ModelInfo | None
    config: Mapping[str, object] = field(repr=False)
    version: str
    seed: int
    timings_s: Mapping[str, float] = field(repr=False)
    evidence: Evidence | None = field(default=None, repr=False)
    """What the verdict was made from; None if no transform was found."""
    previews: Previews | None = field(default=None, repr=False)

    def save(self, folder: Path | str, *, onto: Onto = "fixed", force: bool = False) -> tuple[Path, ...]:
        """Write result.json, tie points, transform.json and aligned.tif into a folder, which is created.

        Args:
            folder: Where the files go.
            onto: ``fixed``, ``own``, or ``georeference`` to keep the pixels as they are.
            force: Whether a rejected result gets its transform and aligned raster all the same.

        Returns:
            The files written.

        Raises:
            OutputError: A file cannot be written.
        """
        return save_result(self, Path(folder), onto=onto, force=force)

    def to_dict(self) -> dict[str, object]:
        """The content of ``result.json``; documented in docs/result-json.md."""
        return {
            "schema": RESULT_SCHEMA,
            "verdict": self.verdict,
            "reasons": list(self.reasons),
            "fixed_from_moving": None if self.fixed_from_moving is None else self.fixed_from_moving.tolist(),
            "fixed_from_moving_misfit_px": None if self.correction is None else round(self.correction.misfit_px(), 4),
            "transform": self.transform,
            "shift_m": None if self.shift_m is None else list(self.shift_m),
            "n_matches": self.n_matches,
            "n_inliers": self.n_inliers,
            "residual_rmse_px": self.residual_rmse_px,
            "ce90_px": self.ce90_px,
            "expected_error_px": self.expected_error_px,
            "trust": self.trust,
            "coverage": self.coverage,
            "lead": self.lead,
            "witnesses": [asdict(witness) for witness in self.witnesses],
            "inputs": asdict(self.inputs),
            "model": None if self.model is None else asdict(self.model),
            "config": dict(self.config),
            "version": self.version,
            "seed": self.seed,
            "timings_s": dict(self.timings_s),
        }
