"""Settings of the criteria: defaults of the paper, limits, and their way from a file; needs no torch."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from midground.cli.config_file import resolve_config
from midground.errors import ConfigError
from midground.training.criterion_configs import (
    CorrelationConfig,
    CriterionConfig,
    GrayscaleConfig,
    LsganConfig,
    Pix2pixConfig,
    ReconstructionConfig,
    SsimConfig,
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Stands for the settings of a training run, of which a criterion is one part."""

    criterion: CriterionConfig = field(default_factory=CorrelationConfig)


def test_defaults_are_those_of_the_paper() -> None:
    first = ReconstructionConfig()
    assert (first.alpha, first.beta, first.gamma, first.eta) == (1, 3, 16, 1)
    second = GrayscaleConfig()
    assert (second.alpha, second.beta, second.lambda1, second.lambda2) == (16, 1, 1, 0)
    assert not second.detach_sar
    assert second.reference_bands is None
    for ssim in (first.ssim, first.reconstruction_ssim, second.ssim):
        assert (ssim.window, ssim.effective_side_px) == ("uniform", 5)


def test_the_side_of_a_window_follows_its_kind_unless_it_is_given() -> None:
    assert SsimConfig(window="gaussian").effective_side_px == 11
    assert SsimConfig(window="gaussian", side_px=7).effective_side_px == 7
    assert SsimConfig(side_px=9).effective_side_px == 9


def test_a_file_chooses_the_criterion_by_name(tmp_path: Path) -> None:
    file = tmp_path / "train.yaml"
    file.write_text(
        "criterion:\n"
        "  name: grayscale\n"
        "  gamma: 2\n"
        "  detach_sar: true\n"
        "  reference_bands: [0, 1, 2, 6]\n"
        "  ssim: {window: gaussian, k1: 0.001, k2: 0.003}\n"
    )
    assert resolve_config(Settings, file=file).criterion == GrayscaleConfig(
        gamma=2,
        detach_sar=True,
        reference_bands=(0, 1, 2, 6),
        ssim=SsimConfig(window="gaussian", k1=0.001, k2=0.003),
    )
    settings = ("criterion.name=reconstruction", "criterion.gamma=8", "criterion.reconstruction_ssim.side_px=7")
    assert resolve_config(Settings, settings=settings).criterion == ReconstructionConfig(
        gamma=8, reconstruction_ssim=SsimConfig(side_px=7)
    )
    assert resolve_config(Settings).criterion == CorrelationConfig()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("criterion.name=grey",), "Unknown criterion.name 'grey'. Did you mean 'grayscale'?"),
        (("criterion.name=grayscale", "criterion.eta=1"), "unknown setting 'criterion.eta'."),
        (("criterion.name=grayscale", "criterion.ssim.window=box"), "Unknown criterion.ssim.window 'box'."),
        (("criterion.name=grayscale", "criterion.gamma=much"), "setting 'criterion.gamma': Input should be a valid"),
        (("criterion.name=reconstruction", "criterion.gamma=-3"), "reconstruction: gamma must be a number from 0 up"),
        (("criterion.name=lsgan", "criterion.n_pool=0"), "lsgan: n_pool must be 1 or more, found 0."),
        (("criterion.name=pix2pix", "criterion.n_pool=9"), "unknown setting 'criterion.n_pool'."),
    ],
)
def test_an_error_speaks_of_the_criterion_that_was_named(settings: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        resolve_config(Settings, settings=settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"side_px": 1}, "ssim: side_px must be 2 or more, found 1."),
        ({"sigma_px": 0.0}, "ssim: sigma_px must be a number above 0, found 0.0."),
        ({"k1": 0.0}, "ssim: k1 must be a number above 0, found 0.0."),
        ({"k2": float("nan")}, "ssim: k2 must be a number above 0, found nan."),
        ({"data_range": -1.0}, "ssim: data_range must be a number above 0, found -1.0."),
    ],
)
def test_windows_and_constants_that_make_no_similarity(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        SsimConfig(**settings)


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (ReconstructionConfig, {"gamma": -1.0}, "reconstruction: gamma must be a number from 0 up, found -1.0."),
        (ReconstructionConfig, {"alpha": float("inf")}, "reconstruction: alpha must be a number from 0 up, found inf."),
        (ReconstructionConfig, {"eta": -0.5}, "reconstruction: eta must be a number from 0 up, found -0.5."),
        (
            ReconstructionConfig,
            {"alpha": 0.0, "beta": 0.0, "gamma": 0.0},
            "reconstruction: one of alpha, beta, gamma must be more than 0, or nothing is left.",
        ),
        (GrayscaleConfig, {"beta": float("nan")}, "grayscale: beta must be a number from 0 up, found nan."),
        (GrayscaleConfig, {"lambda2": -1.0}, "grayscale: lambda2 must be a number from 0 up, found -1.0."),
        (
            GrayscaleConfig,
            {"lambda1": 0.0},
            "grayscale: one of lambda1, lambda2 must be more than 0, or nothing is left.",
        ),
        *(
            (
                GrayscaleConfig,
                {"reference_bands": bands},
                "grayscale: reference_bands must be one or more different numbers from 0 up, "
                f"found {list(bands)}; leave it out for all bands.",
            )
            for bands in ((), (-1, 0), (2, 2))
        ),
        (
            CorrelationConfig,
            {"window_px": (64, 32)},
            "correlation: window_px must be two sides from 8 px up, smallest first; found [64, 32].",
        ),
        (
            CorrelationConfig,
            {"window_px": (4, 32)},
            "correlation: window_px must be two sides from 8 px up, smallest first; found [4, 32].",
        ),
        (CorrelationConfig, {"search_px": 0}, "correlation: search_px must be 1 or more, found 0."),
        (CorrelationConfig, {"n_local": -1}, "correlation: n_local must be 0 or more, found -1."),
        (Pix2pixConfig, {"lambda_l1": -1.0}, "pix2pix: lambda_l1 must be a number from 0 up, found -1.0."),
        (
            Pix2pixConfig,
            {"discriminator_rate": 0.0},
            "pix2pix: discriminator_rate must be a number above 0, found 0.0.",
        ),
        (LsganConfig, {"lambda_cycle": float("inf")}, "lsgan: lambda_cycle must be a number from 0 up, found inf."),
        (LsganConfig, {"n_pool": 0}, "lsgan: n_pool must be 1 or more, found 0."),
        (CorrelationConfig, {"n_windows": 0}, "correlation: n_windows must be 1 or more, found 0."),
        (
            CorrelationConfig,
            {"tolerance_px": -1.0},
            "correlation: tolerance_px must be a number from 0 up, found -1.0.",
        ),
        (CorrelationConfig, {"temperature": 2.0}, "correlation: temperature must lie between 0.005 and 1, found 2.0."),
        (CorrelationConfig, {"min_valid": 1.5}, "correlation: min_valid must lie between 0 and 1, found 1.5."),
    ],
)
def test_settings_that_make_no_criterion(kind: type, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        kind(**settings)


def test_settings_are_checked_without_torch() -> None:
    code = "import sys, midground.training.criterion_configs; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
