"""Networks that translate and judge; needs torch."""

from __future__ import annotations

import pytest

from midground.errors import ConfigError

torch = pytest.importorskip("torch", reason="needs the extra train")

from midground.training.translation.networks import (  # noqa: E402
    BatchNorm,
    PassThrough,
    PatchDiscriminator,
    ResnetGenerator,
    Translator,
    UnetGenerator,
)

pytestmark = pytest.mark.extras


def n_parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("network", "published"),
    [
        (lambda: UnetGenerator(3, 3, 64), 54.414e6),
        (lambda: ResnetGenerator(3, 3, 64), 11.378e6),
        (lambda: PatchDiscriminator(6, 64, "batch"), 2.769e6),
        (lambda: PatchDiscriminator(3, 64, "instance"), 2.765e6),
    ],
)
def test_networks_have_the_published_numbers_of_parameters(network, published: float) -> None:
    assert n_parameters(network()) == pytest.approx(published, abs=1e3)


@pytest.mark.parametrize(("name", "side_px"), [("unet256", 256), ("resnet9", 64)])
def test_a_translator_keeps_the_size_and_the_range(name, side_px: int) -> None:
    torch.manual_seed(0)
    translator = Translator(name, 2, 3, base_width=2, window_px=side_px).eval()
    with torch.inference_mode():
        made = translator(torch.rand(2, 2, side_px, side_px))
    assert made.shape == (2, 3, side_px, side_px)
    assert 0 <= float(made.min()) < float(made.max()) <= 1
    assert (translator.stride_px, translator.halo_px) == (1, side_px // 4)


def test_after_training_an_image_is_translated_alike_whatever_lies_beside_it() -> None:
    torch.manual_seed(0)
    translator = Translator("unet256", 1, 1, base_width=2, window_px=256)
    images = torch.rand(2, 1, 256, 256)
    with torch.inference_mode():
        translator.eval()
        torch.testing.assert_close(translator(images)[:1], translator(images[:1]))
        # While training, the batch is normalised as one, and dropout differs from call to call.
        translator.train()
        assert float((translator(images)[:1] - translator(images[:1])).abs().max()) > 1e-3


def test_batch_normalisation_of_one_image_is_the_same_in_training_and_afterwards() -> None:
    torch.manual_seed(0)
    norm = BatchNorm(3)
    image = 5 + 2 * torch.rand(1, 3, 8, 8)
    trained = norm.train()(image)
    torch.testing.assert_close(norm.eval()(image), trained)
    torch.testing.assert_close(trained.mean(dim=(2, 3)), torch.zeros(1, 3), atol=1e-5, rtol=0)


def test_the_first_weights_are_small_and_random() -> None:
    torch.manual_seed(0)
    translator = Translator("unet256", 1, 3, base_width=8, window_px=256)
    kernels = [parameter.flatten() for parameter in translator.parameters() if parameter.ndim == 4]
    assert float(torch.cat(kernels).detach().std()) == pytest.approx(0.02, rel=0.02)
    gains = torch.cat([layer.weight.detach() for layer in translator.modules() if isinstance(layer, BatchNorm)])
    assert float(gains.mean()) == pytest.approx(1, abs=0.01)
    assert float(gains.std()) == pytest.approx(0.02, rel=0.2)


def test_the_unet_sees_the_whole_window() -> None:
    torch.manual_seed(0)
    network = UnetGenerator(1, 1, 4).eval()
    image = torch.rand(1, 1, 256, 256, requires_grad=True)
    network(image)[0, 0, 128, 128].backward()
    assert image.grad is not None
    assert float((image.grad != 0).float().mean()) > 0.99


def test_a_score_of_the_discriminator_sees_70_px() -> None:
    torch.manual_seed(0)
    judge = PatchDiscriminator(1, 4, "instance")
    # Instance normalisation alone would let each score see everything.
    local = torch.nn.Sequential(
        *(layer for layer in judge.layers if not isinstance(layer, torch.nn.InstanceNorm2d))
    ).double()
    image = torch.rand(1, 1, 256, 256, dtype=torch.float64, requires_grad=True)
    scores = local(image)
    assert scores.shape == (1, 1, 30, 30)
    scores[0, 0, 15, 15].backward()
    assert image.grad is not None
    for axis in (2, 3):
        seen = torch.nonzero((image.grad != 0).any(dim=5 - axis)[0, 0])
        assert int(seen.max() - seen.min()) + 1 == 70


def test_what_passes_through_stays_as_it_is() -> None:
    image = torch.rand(1, 3, 5, 7)
    passed = PassThrough(3)(image)
    assert torch.equal(passed, image)
    assert passed is not image


@pytest.mark.parametrize(("name", "side_px", "multiple"), [("unet256", 192, 256), ("resnet9", 66, 4)])
def test_squares_that_do_not_fit(name, side_px: int, multiple: int) -> None:
    message = f"The network {name} takes squares with a side that is a multiple of {multiple} px, found {side_px} px"
    with pytest.raises(ConfigError, match=message):
        Translator(name, 1, 3, base_width=2, window_px=side_px)
