"""Registrations made by code, for the tests of the report."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

HW = (180, 220)
FIXED_FROM_MOVING = np.array([[1.001, 0.002, 6.0], [-0.002, 0.999, -4.0], [0.0, 0.0, 1.0]])


def make_registration(verdict="accept", *, crs="EPSG:32631", with_previews=True, name="S1A_VH.tif"):
    """A registration with 90 tie points, a fifth of them outliers; a rejected one has no transform."""
    from midground.registration.result import InputInfo, Inputs, ModelInfo, Registration, Witness

    gsd_m = 10.0 if crs else None
    tie_points = make_tie_points()
    fixed = InputInfo(
        path="/scenes/optical.tif",
        hw=HW,
        n_bands=3,
        dtype="uint8",
        crs=crs,
        gsd_m=gsd_m,
        modality="optical",
        bands=(1, 2, 3),
    )
    moving = replace(
        fixed,
        path=f"/scenes/{name}",
        n_bands=1,
        bands=(1,),
        modality="sar",
        assumptions=("8-bit values: taken as a grey image.",),
    )
    found = Registration(
        verdict=verdict,
        reasons=("Held-out tie points agree within 1.3 px.", "Two mappers & their estimates differ by 0.4 px."),
        fixed_from_moving=FIXED_FROM_MOVING,
        transform="affine",
        correction=None,
        shift_m=(61.2, -38.9) if crs else None,
        tie_points=tie_points,
        n_matches=len(tie_points.used),
        n_inliers=int(tie_points.used.sum()),
        residual_rmse_px=0.71,
        ce90_px=1.3,
        expected_error_px=0.62,
        trust=0.97,
        coverage=0.84,
        witnesses=(
            Witness(name="learned", shift_px=(6.1, -4.2), disagreement_px=0.4),
            Witness(name="features", shift_px=None, disagreement_px=None),
        ),
        lead="structure",
        inputs=Inputs(fixed=fixed, moving=moving),
        model=ModelInfo(name="s1s2", sha256="ab" * 32),
        config={"search_m": 500.0, "template": {"window_px": 96}, "gsd_m": None, "fixed": {"bands": (1, 2)}},
        version="0.1.0",
        seed=7,
        timings_s={"map_learned": 1.5, "tie_points": 0.5},
        previews=make_previews() if with_previews else None,
    )
    return found if verdict != "reject" else without_transform(found)


def make_tie_points():
    """Tie points on a grid that follow the transform to half a pixel, but for every fifth."""
    from midground.geo.tiepoints import TiePoints

    rng = np.random.default_rng(3)
    moving_xy = np.stack(np.meshgrid(np.linspace(15, 200, 10), np.linspace(15, 165, 9)), axis=-1).reshape(-1, 2)
    fixed_xy = moving_xy @ FIXED_FROM_MOVING[:2, :2].T + FIXED_FROM_MOVING[:2, 2] + rng.normal(0, 0.5, moving_xy.shape)
    used = np.arange(len(moving_xy)) % 5 != 0
    fixed_xy[~used] += 9.0
    residual_px = np.hypot(*(fixed_xy - moving_xy @ FIXED_FROM_MOVING[:2, :2].T - FIXED_FROM_MOVING[:2, 2]).T)
    return TiePoints(
        moving_xy=moving_xy,
        fixed_xy=fixed_xy,
        score=rng.random(len(moving_xy)),
        residual_px=residual_px,
        held_out_residual_px=np.where(used, residual_px * 1.1, np.nan),
        used=used,
    )


def make_previews():
    """Smooth random pictures; the moving image has an empty border before registration."""
    from midground.core.image import Image
    from midground.registration.result import Previews

    rng = np.random.default_rng(5)
    scene = np.cumsum(np.cumsum(rng.normal(size=(3, *HW)), axis=1), axis=2)
    scene = (scene - scene.min()) / np.ptp(scene)
    valid = np.ones(HW, dtype=bool)
    valid[:, :12] = False
    return Previews(
        gsd_m=10.0,
        fixed=Image.from_array(scene),
        moving_before=Image.from_array(np.roll(scene[0], 6, axis=1), valid),
        moving_after=Image.from_array(scene[0]),
        shared_by="s1s2",
        shared_fixed=Image.from_array(scene),
        shared_moving=Image.from_array(np.roll(scene, 6, axis=2), valid),
        preview_from_fixed=np.eye(3),
    )


def without_transform(found):
    """The same, rejected without any candidate."""
    unknown = np.full(len(found.tie_points.used), np.nan)
    return replace(
        found,
        verdict="reject",
        fixed_from_moving=None,
        transform=None,
        shift_m=None,
        n_inliers=0,
        residual_rmse_px=None,
        ce90_px=None,
        expected_error_px=None,
        trust=0.0,
        coverage=0.0,
        tie_points=replace(
            found.tie_points, residual_px=unknown, held_out_residual_px=unknown, used=np.zeros(len(unknown), dtype=bool)
        ),
        previews=None if found.previews is None else replace(found.previews, moving_after=None),
    )
