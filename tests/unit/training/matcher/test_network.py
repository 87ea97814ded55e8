"""The compact RoMa: where it starts, that it learns, and that its graph says the same; needs torch."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("kornia", reason="needs the extra matchers")
pytest.importorskip("lightning", reason="needs the extra train")
pytest.importorskip("onnx", reason="needs the extra train")

from midground.errors import DependencyError  # noqa: E402
from midground.matching.xfeat import xfeat_network  # noqa: E402
from midground.training.matcher.export import export_graph  # noqa: E402
from midground.training.matcher.loss import Truth, loss_parts  # noqa: E402
from midground.training.matcher.module import dense_network  # noqa: E402
from midground.training.matcher.network import Coarse, SharedRoma, centres_xy, windows_around  # noqa: E402

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
    network = SharedRoma(n_channels, xfeat()).eval()
    grey = (grey - grey.mean()) / grey.std(correction=0)
    with torch.inference_mode():
        found = network._features(grey.expand(-1, n_channels, -1, -1))[8]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_matches_start_at_the_expected_places_of_the_coarse_comparison() -> None:
    network, image = SharedRoma(2).eval(), texture(2, SIDE_PX)
    with torch.inference_mode():
        coarse, matches = network(image, image)
    assert [found.stride_px for found in matches] == [8, 4, 2]
    expected, peak = coarse.expected(centres_xy(matches[0].fixed_xy, 8))
    torch.testing.assert_close(matches[0].fixed_xy, expected)
    assert matches[2].fixed_xy.shape == (1, 2, SIDE_PX // 2, SIDE_PX // 2)
    assert 0 < float(peak.min()) <= float(peak.max()) <= 1


def test_the_expected_place_is_the_mean_of_all_places_by_their_probability() -> None:
    logits = torch.full((1, 4, 4), -30.0)
    logits[0, 0, :], logits[0, 3, :] = 0.0, float(np.log(3))
    expected, peak = Coarse(logits).expected(centres_xy(torch.zeros(1, 1, 2, 2), 8))
    # A quarter at (3.5, 3.5), three quarters at (11.5, 11.5).
    torch.testing.assert_close(expected, torch.full((1, 2, 2, 2), 9.5))
    torch.testing.assert_close(peak, torch.full((1, 1, 2, 2), 0.75))


def test_windows_find_a_shifted_image_before_any_training() -> None:
    """By whole cells, with gain and offset of their own: the cosine of windows less their means is a correlation."""
    whole = texture(2, SIDE_PX + 16)
    moving, fixed = whole[..., 16:, 8:-8], 3 * whole[..., :-16, 16:] - 2
    one, other = (torch.nn.functional.normalize(windows_around(image).flatten(2), dim=1) for image in (moving, fixed))
    found = (other.transpose(1, 2) @ one)[0].argmax(0).unflatten(0, (16, 16))
    rows, columns = torch.meshgrid(torch.arange(16), torch.arange(16), indexing="ij")
    inside = (slice(3, -5), slice(4, -3))
    assert torch.equal(found[inside], ((rows + 2) * 16 + columns - 1)[inside])


def test_it_learns_one_pair_in_a_few_steps() -> None:
    torch.manual_seed(0)
    whole = texture(2)
    moving, fixed = whole[..., 16:-16, 16:-16], whole[..., 8:-24, 4:-28]
    matrix = torch.eye(3)[None].clone()
    matrix[0, :2, 2] = torch.tensor([12.0, 8.0])
    valid = torch.ones(1, 1, SIDE_PX, SIDE_PX)
    truth, network = Truth(matrix, valid, valid), SharedRoma(2, xfeat()).train()
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
    assert losses[-1] < 0.5 * losses[0]
    assert errors_px[-1] < 0.25 * errors_px[0]


def test_the_graph_says_what_the_network_says() -> None:
    torch.manual_seed(0)
    network = SharedRoma(3, xfeat())
    with torch.no_grad():
        for module in (network.decoder.head, *(refiner.head for refiner in network.refiners.values())):
            module.weight.normal_(0, 1)
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
    network, image = SharedRoma(2).train(), texture(2, SIDE_PX).numpy()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fixed_xy, certainty = dense_network(network)(image, image)
    assert network.training
    assert fixed_xy.shape == (2, *certainty.shape)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
