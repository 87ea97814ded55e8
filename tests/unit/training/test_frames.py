"""Frames in which the networks see a sample; needs torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from midground.datasets.catalogue import PairsConfig
from midground.training.config import DataConfig, SourceConfig, TrainConfig
from midground.training.criterion_configs import CorrelationConfig, CriterionConfig, GrayscaleConfig

torch = pytest.importorskip("torch", reason="needs the extra train")

from midground.training.frames import draw_frames  # noqa: E402

pytestmark = pytest.mark.extras


def config(criterion: CriterionConfig) -> TrainConfig:
    data = DataConfig(train=(SourceConfig(pairs=PairsConfig(path=Path("pairs"))),), crop_px=160)
    return TrainConfig(name="frames", data=data, criterion=criterion)


def correlation(frame_shift_px: int) -> TrainConfig:
    return config(CorrelationConfig(window_px=(16, 32), search_px=8, frame_shift_px=frame_shift_px))


def test_what_lies_in_both_frames_shows_the_same_place() -> None:
    sample = torch.arange(160 * 160).reshape(1, 1, 160, 160)
    shifts = set()
    for seed in range(50):
        frames = draw_frames(correlation(32), np.random.default_rng(seed))
        seen = {modality: frame.cut(sample) for modality, frame in frames.items()}
        assert {tuple(image.shape[2:]) for image in seen.values()} == {(128, 128)}
        sar, optical = (frame.cut_common(seen[modality]) for modality, frame in frames.items())
        assert torch.equal(sar, optical)
        assert min(sar.shape[2:]) >= 96
        assert max(sar.shape[2:]) <= 128
        shifts.add(int(seen["sar"][0, 0, 0, 0] - seen["optical"][0, 0, 0, 0]))
    assert len(shifts) > 40


@pytest.mark.parametrize("unshifted", [correlation(0), config(GrayscaleConfig())], ids=["no shift", "grayscale"])
def test_without_a_shift_both_networks_see_all(unshifted: TrainConfig) -> None:
    sample = torch.rand(2, 3, 160, 160)
    for frame in draw_frames(unshifted, np.random.default_rng(0)).values():
        assert torch.equal(frame.cut_common(frame.cut(sample)), sample)
