"""The compact RoMa: where it starts, that it learns, and that its graph says the same; needs torch."""

from __future__ import annotations

import cv2
import numpy as np
import onnxruntime as ort
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("kornia", reason="needs the extra matchers")
pytest.importorskip("lightning", reason="needs the extra train")
pytest.importorskip("onnx", reason="needs the extra train")

from midground.core.image import Image  # noqa: E402
from midground.core.transforms import Transform  # noqa: E402
from midground.errors import DependencyError  # noqa: E402
from midground.matching.configs import RomaSharedConfig  # noqa: E402
from midground.matching.ground import standardised  # noqa: E402
from midground.matching.xfeat import xfeat_network  # noqa: E402
from midground.modality.structure import StructureMapper  # noqa: E402
from midground.training.matcher.export import export_graph  # noqa: E402
from midground.training.matcher.loss import Truth, loss_parts  # noqa: E402
from midground.training.matcher.module import dense_network  # noqa: E402
from midground.training.matcher.network import Shape, SharedRoma, centres_xy  # noqa: E402

pytestmark = pytest.mark.extras

SIDE_PX = 128


def texture(n_channels: int, side_px: int = SIDE_PX + 32) -> torch.Tensor:
    noise = np.random.default_rng(0).standard_normal((1, n_channels, side_px, side_px)).astype(np.float32)
    return torch.nn.functional.avg_pool2d(torch.from_numpy(noise), 5, stride=1, padding=2) * 5


def xfeat() -> torch.nn.Module:
    try:
        return xfeat_network()
    except DependencyError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("n_channels", [1, 3])
def test_on_equal_channels_the_backbone_starts_as_xfeat(n_channels: int) -> None:
    grey = texture(1, SIDE_PX)
    expected = xfeat()(grey)[0]
    network = SharedRoma(Shape(n_channels), xfeat()).eval()
    grey = (grey - grey.mean()) / grey.std(correction=0)
    with torch.inference_mode():
        found = network._features(grey.expand(-1, n_channels, -1, -1))[8]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def turned_pair(rotation_deg: float) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Two maps of ``structure`` of one texture, the second of it turned about its middle and shifted; and the truth."""
    truth = Transform.similarity(scale=1.03, rotation_deg=rotation_deg, dx=0.0, dy=0.0).matrix
    middle = np.array([SIDE_PX / 2, SIDE_PX / 2])
    truth[:2, 2] = middle - truth[:2, :2] @ middle + [9.0, -6.0]
    noise = np.random.default_rng(3).standard_normal((SIDE_PX, SIDE_PX)).astype(np.float32)
    one = cv2.GaussianBlur(noise, (0, 0), 2.0)
    maps = StructureMapper()
    images = (Image.from_array(array) for array in (one, cv2.warpPerspective(one, truth, (SIDE_PX, SIDE_PX))))
    moving, fixed = (torch.from_numpy(standardised(maps.map(image, "optical")))[None] for image in images)
    return moving, fixed, truth


@pytest.mark.parametrize("rotation_deg", [0.0, 17.0, -34.0])
def test_turned_images_match_before_any_training(rotation_deg: float) -> None:
    moving, fixed, truth = turned_pair(rotation_deg)
    network = SharedRoma(Shape(9, n_oriented=9, rotation_deg=40.0), xfeat()).eval()
    with torch.inference_mode():
        _, matches = network(moving, fixed)
    assert [found.stride_px for found in matches] == [8, 4, 2]
    assert matches[2].fixed_xy.shape == (1, 2, SIDE_PX // 2, SIDE_PX // 2)
    grid_xy = centres_xy(matches[2].fixed_xy, 2).flatten(1).numpy()
    true_xy = truth[:2, :2] @ grid_xy + truth[:2, 2:]
    inside = ((true_xy > 16) & (true_xy < SIDE_PX - 16) & (grid_xy > 16) & (grid_xy < SIDE_PX - 16)).all(0)
    error_px = np.linalg.norm(matches[2].fixed_xy[0].flatten(1).numpy() - true_xy, axis=0)
    assert np.median(error_px[inside]) < 0.75
    assert (matches[2].certainty.flatten().numpy()[inside] > 0).mean() > 0.9


def test_images_of_two_places_match_without_certainty() -> None:
    """Windows that are searched find some place that looks alike, and the places are made to agree."""
    moving, _, _ = turned_pair(0.0)
    network = SharedRoma(Shape(9, n_oriented=9, rotation_deg=40.0), xfeat()).eval()
    with torch.inference_mode():
        _, matches = network(moving, moving.flip(2, 3).roll(31, 2))
    assert matches[2].certainty.sigmoid().max() < RomaSharedConfig().min_certainty


@pytest.mark.parametrize(
    ("rotation_deg", "rotations_deg"),
    [(0.0, [0.0]), (6.0, [-10.0, 0.0, 10.0]), (30.0, [-30.0, -20.0, -10.0, 0.0, 10.0, 20.0, 30.0])],
)
def test_windows_are_compared_every_ten_degrees(rotation_deg: float, rotations_deg: list[float]) -> None:
    assert Shape(1, rotation_deg=rotation_deg).rotations_deg == rotations_deg


def test_a_half_turn_either_way_is_compared_once() -> None:
    assert Shape(1, rotation_deg=180.0).rotations_deg == [float(angle) for angle in range(-180, 180, 10)]


def test_it_learns_in_a_few_steps_what_windows_do_not_say() -> None:
    """Where the windows of this pair find each other is off by 1.5 px of the truth."""
    torch.manual_seed(0)
    whole = texture(2)
    moving, fixed = whole[..., 16:-16, 16:-16], whole[..., 8:-24, 4:-28]
    matrix = torch.eye(3)[None].clone()
    matrix[0, :2, 2] = torch.tensor([13.5, 8.0])
    valid = torch.ones(1, 1, SIDE_PX, SIDE_PX)
    truth, network = Truth(matrix, valid, valid), SharedRoma(Shape(2), xfeat()).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    losses, errors_px = [], []
    for _ in range(25):
        coarse, matches = network(moving, fixed)
        loss = torch.stack(list(loss_parts(coarse, matches, truth).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
        true_xy, is_seen = truth.at(centres_xy(matches[-1].fixed_xy, 2))
        errors_px.append(float((matches[-1].fixed_xy.detach() - true_xy).norm(dim=1)[is_seen].median()))
    assert errors_px[0] == pytest.approx(1.5, abs=0.3)
    assert losses[-1] < 0.7 * losses[0]
    assert errors_px[-1] < 0.5 * errors_px[0]


def test_the_graph_says_what_the_network_says() -> None:
    torch.manual_seed(0)
    network = SharedRoma(Shape(3, n_oriented=2, rotation_deg=10.0), xfeat())
    with torch.no_grad():
        for module in (refiner.correction.head for refiner in network.refiners.values()):
            module.weight.normal_(0, 1)
            module.bias[2] -= 5
    whole = texture(3)
    moving, fixed = (image.contiguous().numpy() for image in (whole[..., 32:, 32:], whole[..., 24:-8, 30:-2]))
    graph = export_graph(network.eval(), SIDE_PX)
    assert graph == export_graph(network, SIDE_PX)
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    (fixed_xy,), ((certainty,),) = session.run(["fixed_xy", "certainty"], {"moving": moving, "fixed": fixed})
    wanted_xy, wanted = dense_network(network)(moving, fixed)
    assert np.ptp(certainty) > 0.1
    assert np.abs(certainty - wanted).max() < 1e-4
    assert np.abs(fixed_xy - wanted_xy).max() / SIDE_PX < 1e-4


def test_a_network_that_is_asked_within_training_goes_on_training() -> None:
    network, image = SharedRoma(Shape(2)).train(), texture(2, SIDE_PX).numpy()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fixed_xy, certainty = dense_network(network)(image, image)
    assert network.training
    assert fixed_xy.shape == (2, *certainty.shape)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
