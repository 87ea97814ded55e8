"""How RoMa v2 is asked and what comes back; its weights are not here, so the model is written down."""

from __future__ import annotations

import re
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from midground.core.image import Image
from midground.errors import DependencyError, ModelError
from midground.matching.configs import Romav2Config
from midground.matching.dense import DenseMatcher, pixel_centres
from midground.matching.registry import build_matcher

CODE = "facebookresearch_dinov3_adc254450203739c8149213a7a69d8d905b4fcfa"


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "romav2", None)
    monkeypatch.delitem(sys.modules, "midground.matching.romav2", raising=False)
    with pytest.raises(DependencyError, match=r"'romav2'.*pip install 'midground\[romav2\]'"):
        build_matcher("romav2")


@pytest.fixture(scope="module")
def romav2() -> ModuleType:
    """The module, where the extra is installed."""
    try:
        from midground.matching import romav2
    except DependencyError as error:
        pytest.skip(str(error))
    return romav2


class Model:
    """Says, in romav2's manner, that everything lies a quarter of an image further right; both ways or one."""

    def __init__(self, *, is_both_ways: bool) -> None:
        self.is_both_ways = is_both_ways
        self.seen: list[tuple[Any, Any]] = []

    def match(self, moving: Any, fixed: Any) -> dict[str, Any]:
        import torch

        # As torch does on a processor, where romav2 asks for the precision of a GPU; an error in these tests.
        warnings.warn("CUDA is not available", UserWarning, stacklevel=1)
        self.seen.append((moving, fixed))
        rows, columns = (-1 + 1 / side + 2 / side * torch.arange(side) for side in (20, 40))
        here = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1)[None]
        shift = torch.tensor([0.5, 0.0])
        back = (here - shift, torch.full((1, 20, 40, 1), 0.6)) if self.is_both_ways else (None, None)
        return {
            "warp_AB": here + shift,
            "overlap_AB": torch.full((1, 20, 40, 1), 0.8),
            "warp_BA": back[0],
            "overlap_BA": back[1],
        }


@pytest.mark.extras
@pytest.mark.parametrize("is_both_ways", [False, True])
def test_points_and_overlap_of_both_directions(romav2: ModuleType, is_both_ways: bool) -> None:
    model = Model(is_both_ways=is_both_ways)
    moving, fixed = np.zeros((3, 50, 70), np.float32), np.ones((3, 40, 90), np.float32)
    unit, overlap = romav2.Romav2Network(model)(moving, fixed)
    np.testing.assert_array_equal(model.seen[0][0].cpu(), moving[None])
    np.testing.assert_array_equal(model.seen[0][1].cpu(), fixed[None])
    assert unit.shape == ((1 + is_both_ways) * 800, 4)
    np.testing.assert_allclose(unit[:, 2:] - unit[:, :2], np.tile([0.5, 0.0], (len(unit), 1)), atol=1e-6)
    np.testing.assert_allclose(unit[0], [-0.975, -0.95, -0.475, -0.95], atol=1e-6)
    np.testing.assert_allclose(overlap[:800], 0.8)
    np.testing.assert_allclose(overlap[800:], 0.6)


@pytest.mark.extras
def test_matches_are_in_pixels_of_the_images(romav2: ModuleType) -> None:
    matcher = DenseMatcher(Romav2Config(), romav2.Romav2Network(Model(is_both_ways=True)))
    noise = np.random.default_rng(0).random((3, 100, 200))
    found = matcher.match(Image.from_array(noise), Image.from_array(noise))
    assert len(found) > 500
    np.testing.assert_allclose(found.fixed_xy - found.moving_xy, np.tile([50.0, 0.0], (len(found), 1)), atol=1e-4)


@pytest.mark.extras
def test_pixels_are_those_of_the_package_counted_from_centres(romav2: ModuleType) -> None:
    import torch

    unit = np.random.default_rng(0).uniform(-1, 1, (50, 4))
    theirs = romav2.RoMaV2.to_pixel_coordinates(torch.from_numpy(unit), 30, 50, 70, 90)
    np.testing.assert_allclose(pixel_centres(unit[:, :2], (30, 50)), theirs[0].numpy() - 0.5, atol=1e-9)
    np.testing.assert_allclose(pixel_centres(unit[:, 2:], (70, 90)), theirs[1].numpy() - 0.5, atol=1e-9)


@pytest.mark.extras
def test_without_weights_all_that_is_needed_is_named(romav2: ModuleType) -> None:
    with pytest.raises(
        ModelError,
        match=r"romav2: there are no weights; put https://.*romav2\.0\.1\.pt as checkpoints/romav2\.0\.1\.pt and the "
        rf"code facebookresearch/dinov3:\w+ of GitHub as {CODE} into a folder, .*, or set 'allow_download' to true",
    ):
        romav2.build(Romav2Config())


@pytest.mark.extras
def test_a_folder_without_the_backbones_code_is_refused(romav2: ModuleType, tmp_path: Path) -> None:
    missing = re.escape(str(tmp_path / CODE / "hubconf.py"))
    with pytest.raises(ModelError, match=rf"romav2: there is no file '{missing}'; put https"):
        romav2.build(Romav2Config(weights=tmp_path))


@pytest.mark.extras
def test_weights_are_read_before_any_code_is_run(romav2: ModuleType, tmp_path: Path) -> None:
    import torch

    (tmp_path / CODE).mkdir()
    (tmp_path / CODE / "hubconf.py").write_text("raise SystemExit('run')\n", encoding="utf-8")
    with pytest.raises(ModelError, match=r"romav2: the weights '.*romav2\.0\.1\.pt' cannot be read"):
        romav2.build(Romav2Config(weights=tmp_path))
    (tmp_path / "checkpoints").mkdir()
    torch.save({"a": print}, tmp_path / "checkpoints" / "romav2.0.1.pt")
    with pytest.raises(ModelError, match="is no file of weights that torch reads without running code"):
        romav2.build(Romav2Config(weights=tmp_path))


@pytest.mark.extras
def test_code_that_is_no_backbone_is_explained(romav2: ModuleType, tmp_path: Path) -> None:
    import torch

    (tmp_path / CODE).mkdir()
    (tmp_path / CODE / "hubconf.py").write_text("import no_such_package\n", encoding="utf-8")
    (tmp_path / "checkpoints").mkdir()
    torch.save({"a": torch.zeros(1)}, tmp_path / "checkpoints" / "romav2.0.1.pt")
    before = torch.hub.get_dir()
    with pytest.raises(ModelError, match=r"romav2: RoMa v2 cannot be built from these files .*no_such_package"):
        romav2.build(Romav2Config(weights=tmp_path))
    assert torch.hub.get_dir() == before
