"""How RoMa is asked and what comes back; its weights are not here, so the model is written down."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from midground.core.image import Image
from midground.errors import ConfigError, DependencyError, ModelError
from midground.matching.configs import RomaConfig
from midground.matching.dense import DenseMatcher, pixel_centres
from midground.matching.registry import build_matcher


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "romatch", None)
    monkeypatch.delitem(sys.modules, "midground.matching.roma", raising=False)
    with pytest.raises(DependencyError, match=r"'roma'.*pip install 'midground\[roma\]'"):
        build_matcher("roma")


@pytest.fixture(scope="module")
def roma() -> ModuleType:
    """The module, where the extra is installed."""
    try:
        from midground.matching import roma
    except DependencyError as error:
        pytest.skip(str(error))
    return roma


class Model:
    """Says, in romatch's manner, that nothing moves; keeps what it was given."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def match(self, moving: Any, fixed: Any, *, im_A_high_res: Any, im_B_high_res: Any) -> tuple[Any, Any]:  # noqa: N803
        import torch

        self.seen.append((moving, fixed, im_A_high_res, im_B_high_res))
        side = im_A_high_res.shape[-1]
        centres = torch.linspace(-1 + 1 / side, 1 - 1 / side, side)
        here = torch.stack(torch.meshgrid(centres, centres, indexing="xy"), dim=-1)
        one_way = torch.cat([here, here], dim=-1)
        # Both directions side by side; the columns of the second are hardly sure.
        sure = torch.cat([torch.full((side, side), 0.9), torch.full((side, side), 0.2)], dim=1)
        return torch.cat([one_way, one_way], dim=1)[None], sure[None]


@pytest.mark.extras
def test_pictures_are_resized_to_both_squares_and_normalised(roma: ModuleType) -> None:
    model = Model()
    network = roma.RomaNetwork(model, RomaConfig(coarse_px=112, upsample_px=160))
    white, black = np.ones((3, 50, 70), np.float32), np.zeros((3, 40, 90), np.float32)
    unit, certainty = network(white, black)
    ((moving, fixed, moving_fine, fixed_fine),) = model.seen
    assert moving.shape == fixed.shape == (1, 3, 112, 112)
    assert moving_fine.shape == fixed_fine.shape == (1, 3, 160, 160)
    np.testing.assert_allclose(moving[0, :, 7, 9], [2.2489, 2.4286, 2.64], atol=1e-3)
    np.testing.assert_allclose(fixed_fine[0, :, 7, 9], [-2.1179, -2.0357, -1.8044], atol=1e-3)
    assert unit.shape == (2 * 160 * 160, 4)
    assert unit.dtype == certainty.dtype == np.float32
    # Row by row: first one direction, then the other.
    np.testing.assert_allclose(certainty[158:162], [0.9, 0.9, 0.2, 0.2])


@pytest.mark.extras
def test_resizing_moves_nothing(roma: ModuleType) -> None:
    model = Model()
    ramp = np.broadcast_to(((np.arange(50) + 0.5) / 50).astype(np.float32), (3, 30, 50)).copy()
    roma.RomaNetwork(model, RomaConfig(coarse_px=112, upsample_px=160))(ramp, ramp)
    for square in model.seen[0][::2]:
        side = square.shape[-1]
        values = square[0, 0, side // 2] * 0.229 + 0.485
        # Away from the edges, a value tells where between the edges of the picture it was.
        inner = slice(side // 10, -side // 10)
        np.testing.assert_allclose(values[inner], ((np.arange(side) + 0.5) / side)[inner], atol=1e-4)


@pytest.mark.extras
def test_matches_are_in_pixels_of_the_images(roma: ModuleType) -> None:
    config = RomaConfig(coarse_px=112, upsample_px=160, min_certainty=0.5)
    matcher = DenseMatcher(config, roma.RomaNetwork(Model(), config))
    noise = np.random.default_rng(0).random((9, 320, 160))
    found = matcher.match(Image.from_array(noise), Image.from_array(noise[:, :160]))
    np.testing.assert_allclose((found.moving_xy[:, 1] + 0.5) / 320, (found.fixed_xy[:, 1] + 0.5) / 160, atol=1e-5)
    np.testing.assert_allclose(found.moving_xy[:, 0], found.fixed_xy[:, 0], atol=1e-4)
    assert len(found) == 4096
    np.testing.assert_allclose(found.score, 0.9)


@pytest.mark.extras
def test_pixels_are_those_of_the_package_counted_from_centres(roma: ModuleType) -> None:
    import torch
    from romatch.models.matcher import RegressionMatcher

    unit = np.random.default_rng(0).uniform(-1, 1, (50, 2))
    theirs = RegressionMatcher._to_pixel_coordinates(None, torch.from_numpy(unit), 30, 50)
    np.testing.assert_allclose(pixel_centres(unit, (30, 50)), theirs.numpy() - 0.5, atol=1e-9)


@pytest.mark.extras
def test_without_weights_both_files_are_named(roma: ModuleType) -> None:
    with pytest.raises(
        ModelError,
        match=r"roma: there are no weights; fetch https://.*roma_outdoor\.pth and "
        r"https://.*dinov2_vitl14_pretrain\.pth and give the files as the settings 'weights' "
        r"and 'backbone_weights', or set 'allow_download' to true",
    ):
        roma.build(RomaConfig())


@pytest.mark.extras
def test_a_weights_file_that_is_not_there_is_named(roma: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"roma: the weights '.*absent\.pth' cannot be read"):
        roma.build(RomaConfig(weights=tmp_path / "absent.pth", backbone_weights=tmp_path / "absent.pth"))


@pytest.mark.extras
def test_a_gpu_that_is_not_there_is_no_crash(roma: ModuleType) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ConfigError, match="roma: device is 'cuda', but torch finds no GPU; set it to 'cpu'"):
        roma.build(RomaConfig(device="cuda"))
