"""Losses of image similarity against independent implementations, known values and finite differences; needs torch."""

from __future__ import annotations

import numpy as np
import pytest

from midground.core import metrics
from midground.errors import ConfigError
from midground.training.criterion_configs import SsimConfig, SsimWindow

torch = pytest.importorskip("torch", reason="needs the extra train")

from midground.training.similarity import dissim, mse, ssim  # noqa: E402

pytestmark = pytest.mark.extras

UNIFORM, GAUSSIAN = SsimConfig(), SsimConfig(window="gaussian")


def pair(*shape: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Two images that have much in common, float32."""
    rng = np.random.default_rng(seed)
    a = rng.random(shape, np.float32)
    return torch.from_numpy(a), torch.from_numpy(0.6 * a + 0.4 * rng.random(shape, np.float32))


def constants(config: SsimConfig) -> tuple[float, float]:
    return (config.k1 * config.data_range) ** 2, (config.k2 * config.data_range) ** 2


def ssim_by_loops(a: np.ndarray, b: np.ndarray, config: SsimConfig) -> float:
    """The equation of the paper's section 3.2.2, window by window."""
    c1, c2 = constants(config)
    side, values = config.effective_side_px, []
    for one, other in zip(a.reshape(-1, *a.shape[2:]), b.reshape(-1, *b.shape[2:]), strict=True):
        for top in range(one.shape[0] - side + 1):
            for left in range(one.shape[1] - side + 1):
                x = one[top : top + side, left : left + side].ravel().astype(float)
                y = other[top : top + side, left : left + side].ravel().astype(float)
                (var_x, cov), (_, var_y) = np.cov(x, y, ddof=1)
                values.append(
                    (2 * x.mean() * y.mean() + c1)
                    * (2 * cov + c2)
                    / ((x.mean() ** 2 + y.mean() ** 2 + c1) * (var_x + var_y + c2))
                )
    return float(np.mean(values))


@pytest.mark.parametrize("config", [UNIFORM, SsimConfig(side_px=4, k1=0.001, k2=0.003, data_range=2.0)])
def test_uniform_windows_against_loops(config: SsimConfig) -> None:
    a, b = pair(2, 3, 12, 15)
    expected = ssim_by_loops(a.numpy(), b.numpy(), config)
    assert 0.3 < expected < 0.95
    assert float(ssim(a, b, config)) == pytest.approx(expected, abs=1e-6)
    assert float(dissim(a, b, config)) == pytest.approx(1 - expected, abs=1e-6)


@pytest.mark.parametrize(
    "config", [GAUSSIAN, SsimConfig(window="gaussian", k1=0.001, k2=0.003), SsimConfig(window="gaussian", data_range=2)]
)
def test_gaussian_windows_against_torchmetrics(config: SsimConfig) -> None:
    reference = pytest.importorskip("torchmetrics.functional.image", reason="compares with torchmetrics")
    a, b = pair(3, 2, 40, 29, seed=1)
    _, windows = reference.structural_similarity_index_measure(
        a, b, sigma=1.5, data_range=config.data_range, k1=config.k1, k2=config.k2, return_full_image=True
    )
    # It counts windows over reflected borders too.
    expected = windows[:, :, 5:-5, 5:-5].mean()
    assert float(ssim(a, b, config)) == pytest.approx(float(expected), abs=2e-6)


def test_it_is_what_the_metric_computes_with_holes_as_well() -> None:
    a, b = pair(1, 2, 30, 22, seed=2)
    valid = np.ones((30, 22), bool)
    valid[4:7, 10:] = False
    for mask in (None, valid):
        expected = metrics.ssim(a[0].numpy(), b[0].numpy(), mask)
        weights = None if mask is None else torch.from_numpy(mask)[None, None].float()
        assert float(ssim(a, b, UNIFORM, weights)) == pytest.approx(expected, abs=1e-6)


def test_one_window_by_hand() -> None:
    config = SsimConfig(side_px=2)
    _, c2 = constants(config)
    a = torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]])
    b = torch.tensor([[[[0.0, 1.0], [1.0, 0.0]]]])
    # Both means 1/2, both sample variances (4 * 1/4) / 3, covariance 0.
    assert float(ssim(a, b, config)) == pytest.approx(c2 / (2 / 3 + c2), abs=1e-6)
    assert float(ssim(a, 1 - a, config)) == pytest.approx((-2 / 3 + c2) / (2 / 3 + c2), abs=1e-6)


@pytest.mark.parametrize("config", [UNIFORM, GAUSSIAN])
def test_constant_images_differ_in_brightness_alone(config: SsimConfig) -> None:
    a, b = torch.full((1, 3, 20, 20), 0.2), torch.full((1, 3, 20, 20), 0.6)
    c1, _ = constants(config)
    assert float(ssim(a, b, config)) == pytest.approx((2 * 0.12 + c1) / (0.04 + 0.36 + c1), abs=1e-6)
    assert float(ssim(a, a, config)) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("config", [UNIFORM, GAUSSIAN])
def test_equal_images_are_alike_and_inverted_ones_are_not(config: SsimConfig) -> None:
    a, b = pair(1, 1, 24, 24)
    assert float(ssim(a, a, config)) == pytest.approx(1, abs=1e-6)
    assert float(ssim(a, 1 - a, config)) < -0.8
    assert float(ssim(a, b, config)) == pytest.approx(float(ssim(b, a, config)), abs=1e-7)


@pytest.mark.parametrize("config", [UNIFORM, GAUSSIAN])
def test_pixels_without_data_have_no_part(config: SsimConfig) -> None:
    a, b = pair(2, 3, 32, 40)
    valid = torch.ones(2, 1, 32, 40)
    valid[0, :, :, :15] = 0
    valid[1] = 0
    value = float(ssim(a, b, config, valid))
    assert value == pytest.approx(float(ssim(a[:1, :, :, 15:], b[:1, :, :, 15:], config)), abs=1e-6)
    changed = torch.where(valid == 0, 1 - b, b)
    assert float(ssim(a, changed, config, valid)) == pytest.approx(value, abs=1e-6)
    (gradient,) = torch.autograd.grad(ssim(a.requires_grad_(), b, config, valid), a)
    assert not gradient[valid.expand_as(a) == 0].any()
    assert gradient[0, :, :, 15:].abs().max() > 0


def test_without_a_window_nothing_is_to_be_changed() -> None:
    a, b = pair(1, 2, 16, 16)
    valid = torch.ones(1, 1, 16, 16)
    valid[:, :, ::4, ::4] = 0
    assert float(dissim(a, b, UNIFORM, valid)) == 0
    (gradient,) = torch.autograd.grad(dissim(a.requires_grad_(), b, UNIFORM, valid), a)
    assert not gradient.any()


def test_mean_square_error() -> None:
    a, b = torch.zeros(2, 2, 2, 3), torch.zeros(2, 2, 2, 3)
    b[0, 0, 0, 0], b[1, 1, 1, 2] = 0.5, 1.0
    assert float(mse(a, b)) == pytest.approx(1.25 / 24)
    valid = torch.zeros(2, 1, 2, 3)
    valid[0, :, 0] = 1
    assert float(mse(a, b, valid)) == pytest.approx(0.25 / 6)
    assert float(mse(a, b, torch.zeros(2, 1, 2, 3))) == 0


@pytest.mark.parametrize("config", [UNIFORM, SsimConfig(window="gaussian", side_px=5)])
def test_gradients_are_those_of_finite_differences(config: SsimConfig) -> None:
    a, b = (image.double() for image in pair(1, 2, 7, 8))
    valid = torch.ones(1, 1, 7, 8, dtype=torch.float64)
    valid[:, :, 0, 0] = 0

    def similarity(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        return ssim(first, second, config, valid) + mse(first, second, valid)

    assert torch.autograd.gradcheck(similarity, (a.requires_grad_(), b.requires_grad_()))


@pytest.mark.parametrize("config", [UNIFORM, GAUSSIAN])
def test_flat_images_have_finite_gradients(config: SsimConfig) -> None:
    a, b = torch.full((1, 1, 20, 20), 0.0, requires_grad=True), torch.full((1, 1, 20, 20), 1.0, requires_grad=True)
    for gradient in torch.autograd.grad(dissim(a, b, config), (a, b)):
        assert torch.isfinite(gradient).all()
    for gradient in torch.autograd.grad(dissim(a, a, config), (a,)):
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("window", ["uniform", "gaussian"])
def test_small_contrasts_at_high_brightness_survive_single_precision(window: SsimWindow) -> None:
    config = SsimConfig(window=window, k1=0.001, k2=0.003)
    rng = np.random.default_rng(3)
    a = rng.random((1, 1, 64, 64))
    a[..., :48] = 0.95 + 0.002 * rng.standard_normal((1, 1, 64, 48))
    b = a + 0.002 * rng.standard_normal(a.shape)
    exact = float(ssim(torch.from_numpy(a), torch.from_numpy(b), config))
    single = float(ssim(torch.from_numpy(a).float(), torch.from_numpy(b).float(), config))
    assert exact < 0.95
    assert single == pytest.approx(exact, abs=1e-4)


@pytest.mark.parametrize("config", [UNIFORM, GAUSSIAN])
def test_half_precision_is_left_behind(config: SsimConfig) -> None:
    a, b = pair(1, 2, 20, 20)
    expected = (ssim(a.bfloat16().float(), b, config), mse(a.bfloat16().float(), b))
    with torch.autocast("cpu", torch.bfloat16):
        found = (ssim(a.bfloat16(), b, config), mse(a.bfloat16(), b))
    assert [value.dtype for value in found] == [torch.float32, torch.float32]
    assert found == expected


def test_images_that_cannot_be_compared() -> None:
    a, _ = pair(1, 3, 8, 8)
    for function in (mse, lambda one, other: ssim(one, other, UNIFORM)):
        with pytest.raises(ConfigError, match=r"same shape, found \(1, 3, 8, 8\) and \(1, 1, 8, 8\)\."):
            function(a, a[:, :1])
    with pytest.raises(ConfigError, match=r"Images of 8 × 8 px hold no window of ssim of 11 px"):
        ssim(a, a, GAUSSIAN)
