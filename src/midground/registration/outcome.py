"""From an attempt on a working grid to the result in the images' own pixels and in metres."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version as installed_version

import numpy as np
from jaxtyping import Float64

from midground.core.image import Image, three_channels
from midground.core.settings import plain
from midground.core.transforms import Transform
from midground.geo.correction import Correction
from midground.geo.grid import Grid, map_points
from midground.geo.tiepoints import TiePoints
from midground.registration.coarse import reduce
from midground.registration.inputs import Working
from midground.registration.level import Attempt
from midground.registration.pair import warp_image
from midground.registration.result import Inputs, ModelInfo, Previews, Registration, Witness
from midground.registration.run import Run
from midground.registration.validation import grid_xy

_PREVIEW_PX = 1800
PointMap = Callable[[Float64[np.ndarray, "n 2"]], Float64[np.ndarray, "n 2"]]


@dataclass(frozen=True, slots=True)
class Frame:
    """How pixels of the working grid relate to full-resolution pixels."""

    to_fixed: PointMap
    """Working pixels to pixels of the fixed image."""
    to_moving: PointMap
    """Working pixels of the moving image, unregistered, to its own pixels."""
    fixed_px_per_px: float
    """Full-resolution pixels of the fixed image per working pixel."""
    gsd_m: float | None
    """Ground sample distance of the working grid, m."""

    @classmethod
    def on_the_ground(cls, fixed: Grid, moving: Grid, working: Grid) -> Frame:
        """Related through the images' georeference."""
        ratio = (working.gsd_m or 1.0) / (fixed.gsd_m or 1.0)
        return cls(
            lambda points: map_points(points, working, fixed),
            lambda points: map_points(points, working, moving),
            ratio,
            working.ground_gsd_m,
        )

    @classmethod
    def by_pixels(cls, fixed_from_working: Transform, moving_from_working: Transform) -> Frame:
        """Related by known transforms of pixels."""
        scale = float(np.sqrt(abs(np.linalg.det(fixed_from_working.matrix[:2, :2]))))
        return cls(fixed_from_working, moving_from_working, scale, None)


@dataclass(frozen=True, slots=True)
class Shown:
    """What the pictures of the report are made from: a grid that fits into memory, whatever grid the result is on."""

    working: Working
    frame: Frame
    transform: Transform | None
    """Fixed from moving in the pixels of ``working``; None if none was found."""


def assemble(run: Run, best: Attempt, frame: Frame, shown: Shown, correction: Correction | None) -> Registration:
    """Express an attempt in full-resolution pixels and metres.

    Args:
        run: Inputs, settings and time spent.
        best: The attempt that is reported.
        frame: Relates the attempt's pixels to full-resolution pixels.
        shown: Images for the report, and for the witness, which is not refined.
        correction: The transform at full resolution; None if none was found.
    """
    moving = run.moving
    config = run.config
    points = _tie_points(best, frame, correction, moving.grid)
    learned = next((mapper for mapper in run.mappers if mapper.sha256 is not None), None)
    scale = frame.fixed_px_per_px
    held_out = None if best.lead is None else best.lead.held_out
    return Registration(
        verdict=best.judgement.verdict,
        reasons=best.judgement.reasons,
        fixed_from_moving=None if correction is None else correction.fixed_from_moving,
        transform=None if correction is None else correction.kind,
        correction=correction,
        shift_m=None if correction is None else correction.shift_m(moving.grid),
        tie_points=points,
        n_matches=len(points.score),
        n_inliers=int(points.used.sum()),
        residual_rmse_px=_rms(points.residual_px[points.used]),
        ce90_px=None if held_out is None or held_out.ce90_px is None else held_out.ce90_px * scale,
        expected_error_px=_scaled(best.judgement.expected_error_px, scale),
        trust=best.judgement.trust,
        coverage=0.0 if best.evidence is None else best.evidence.coverage,
        witnesses=_witnesses(best, frame, shown.frame),
        lead=run.mappers[0].name,
        inputs=Inputs(fixed=run.fixed.info, moving=moving.info),
        model=None if learned is None else ModelInfo(name=learned.name, sha256=learned.sha256),
        config=plain(dataclasses.asdict(config)),
        version=installed_version("midground"),
        seed=config.seed,
        timings_s=run.watch.total(),
        evidence=best.evidence,
        previews=_previews(shown),
    )


def _tie_points(best: Attempt, frame: Frame, correction: Correction | None, moving: Grid) -> TiePoints:
    lead = best.lead
    if lead is None or correction is None:
        points, none = np.zeros((0, 2)), np.zeros(0)
        return TiePoints(
            moving_xy=points,
            fixed_xy=points,
            score=none,
            residual_px=none,
            held_out_residual_px=none,
            used=np.zeros(0, bool),
        )
    moving_xy, fixed_xy = frame.to_moving(lead.matches.moving_xy), frame.to_fixed(lead.matches.fixed_xy)
    return TiePoints(
        moving_xy=moving_xy,
        fixed_xy=fixed_xy,
        score=lead.matches.score,
        residual_px=np.linalg.norm(correction.to_fixed_px(moving, moving_xy) - fixed_xy, axis=1),
        held_out_residual_px=lead.held_out.residual_px * frame.fixed_px_per_px,
        used=lead.inliers,
    )


def _witnesses(best: Attempt, frame: Frame, own: Frame) -> tuple[Witness, ...]:
    if best.lead is None or best.evidence is None:
        return ()
    found: list[Witness] = []
    if best.evidence.halves_px is not None:
        distance = best.evidence.halves_px * frame.fixed_px_per_px
        found.append(Witness(name="two halves of the tie points", shift_px=None, disagreement_px=distance))
    if best.evidence.witness_name is not None:
        shift = None
        if best.witness is not None:
            centre = grid_xy(best.pairs[0].moving.hw).mean(axis=0, keepdims=True)
            moved = own.to_fixed(best.witness.search.transform(centre)) - own.to_fixed(centre)
            shift = (float(moved[0, 0]), float(moved[0, 1]))
        distance_px = _scaled(best.evidence.witness_px, own.fixed_px_per_px)
        found.append(Witness(name=best.evidence.witness_name, shift_px=shift, disagreement_px=distance_px))
    return tuple(found)


def _previews(shown: Shown) -> Previews:
    working, frame = shown.working, shown.frame
    shared = working.pairs[-1]
    factor = max(1, -(-max(working.fixed.hw) // _PREVIEW_PX))

    def moved(transform: Transform) -> Image:
        return reduce(warp_image(working.moving, transform, working.fixed.hw), factor)

    corner = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    placed = frame.to_fixed(corner)
    fixed_from_working = np.eye(3)
    fixed_from_working[:2, 0], fixed_from_working[:2, 1] = placed[1] - placed[0], placed[2] - placed[0]
    fixed_from_working[:2, 2] = placed[0]
    preview_from_working = np.diag([1 / factor, 1 / factor, 1.0])
    preview_from_working[:2, 2] = (1 / factor - 1) / 2
    return Previews(
        gsd_m=None if frame.gsd_m is None else frame.gsd_m * factor,
        fixed=reduce(working.fixed, factor),
        moving_before=moved(Transform.identity()),
        moving_after=None if shown.transform is None else moved(shown.transform),
        shared_by=shared.name,
        shared_fixed=reduce(three_channels(shared.fixed), factor),
        shared_moving=reduce(three_channels(shared.moving), factor),
        preview_from_fixed=preview_from_working @ np.linalg.inv(fixed_from_working),
    )


def _rms(values: np.ndarray) -> float | None:
    return float(np.sqrt((values**2).mean())) if len(values) else None


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
