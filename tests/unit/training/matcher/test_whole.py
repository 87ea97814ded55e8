"""Whole images correlated under rotations and scales; needs torch."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from midground.core.image import Image  # noqa: E402
from midground.core.transforms import Transform  # noqa: E402
from midground.matching.ground import standardised  # noqa: E402
from midground.modality.structure import StructureMapper  # noqa: E402
from midground.training.matcher.agreement import Similarity  # noqa: E402
from midground.training.matcher.cells import Cells  # noqa: E402
from midground.training.matcher.whole import whole_similarity  # noqa: E402

pytestmark = pytest.mark.extras

SIDE_PX, STRIDE_PX = 128, 8
ROTATIONS_DEG = [float(angle) for angle in range(-180, 180, 15)]
SCALES = (0.75, 1.0, 1.33)


def mapped(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(standardised(StructureMapper().map(Image.from_array(image), "optical")))[None]


def blurred_noise(side_px: int = SIDE_PX, seed: int = 3) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal((side_px, side_px)).astype(np.float32)
    return cv2.GaussianBlur(noise, (0, 0), 4.0)


def found(moving: torch.Tensor, fixed: torch.Tensor) -> Similarity:
    cells = (Cells.of(image, STRIDE_PX, n_oriented=9) for image in (moving, fixed))
    return whole_similarity(*cells, rotations_deg=ROTATIONS_DEG, scales=SCALES)


def about_middle(rotation_deg: float, scale: float, shift_xy: tuple[float, float]) -> np.ndarray:
    matrix = Transform.similarity(scale=scale, rotation_deg=rotation_deg, dx=0.0, dy=0.0).matrix
    middle = np.array([SIDE_PX / 2, SIDE_PX / 2])
    matrix[:2, 2] = middle - matrix[:2, :2] @ middle + shift_xy
    return matrix


@pytest.mark.parametrize(
    ("rotation_deg", "scale", "shift_xy"),
    [(0.0, 1.0, (32.0, -24.0)), (94.0, 1.0, (-16.0, 8.0)), (-153.0, 1.3, (5.0, 11.0)), (32.0, 0.77, (-20.0, -9.0))],
)
def test_any_rotation_scale_and_shift_is_found(
    rotation_deg: float, scale: float, shift_xy: tuple[float, float]
) -> None:
    one, truth = blurred_noise(), about_middle(rotation_deg, scale, shift_xy)
    other = cv2.warpPerspective(one, truth, (SIDE_PX, SIDE_PX), borderMode=cv2.BORDER_CONSTANT)
    transform = found(mapped(one), mapped(other))
    apart = np.degrees(float(transform.rotation[0])) - rotation_deg
    assert abs((apart + 180) % 360 - 180) <= 7.5
    assert float(torch.linalg.det(transform.linear[0])) == pytest.approx(scale**2, rel=0.1)
    middle = np.array([[SIDE_PX / 2], [SIDE_PX / 2]])
    error_px = transform(torch.from_numpy(middle.astype(np.float32))[None])[0].numpy() - (
        truth[:2, :2] @ middle + truth[:2, 2:]
    )
    assert np.abs(error_px).max() <= STRIDE_PX


def test_every_pair_of_a_batch_is_found_by_itself() -> None:
    one = blurred_noise()
    others = [
        cv2.warpPerspective(one, about_middle(*wanted), (SIDE_PX, SIDE_PX))
        for wanted in ((0.0, 1.0, (16.0, 0.0)), (90.0, 1.0, (0.0, 16.0)))
    ]
    moving, fixed = mapped(one).repeat(2, 1, 1, 1), torch.cat([mapped(other) for other in others])
    both = found(moving, fixed)
    assert np.degrees(both.rotation.numpy()) == pytest.approx([0.0, 90.0], abs=1e-3)
    for index in range(2):
        alone = found(moving[index : index + 1], fixed[index : index + 1])
        torch.testing.assert_close(both.linear[index : index + 1], alone.linear)
        torch.testing.assert_close(both.shift[index : index + 1], alone.shift)


def test_ground_without_data_does_not_count() -> None:
    """The same ground in two corners of a square, the rest of which holds no data: the outlines say no shift."""
    whole = blurred_noise(SIDE_PX + 32)
    one, other = (torch.zeros(1, 9, SIDE_PX, SIDE_PX) for _ in range(2))
    one[..., :96, :96] = mapped(whole[:96, :96])
    other[..., :96, :96] = mapped(whole[24:120, 16:112])
    transform = found(one, other)
    assert float(transform.rotation[0]) == pytest.approx(0, abs=1e-6)
    assert transform.shift[0, :, 0].numpy() == pytest.approx([-16, -24], abs=0.01)


def test_images_without_data_have_some_finite_transform() -> None:
    nothing = torch.zeros(1, 9, SIDE_PX, SIDE_PX)
    transform = found(nothing, nothing)
    assert torch.isfinite(transform.linear).all()
    assert torch.isfinite(transform.shift).all()
