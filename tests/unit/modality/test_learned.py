"""The shipped bundle on ONNX Runtime."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from midground.core.image import Image
from midground.errors import ConfigError, InputError, ModelError
from midground.modality.base import InputSpec, Mapper, Modality
from midground.modality.bundle import write_bundle
from midground.modality.catalogue import find_bundle
from midground.modality.learned import LearnedMapper
from midground.modality.windowed import WindowSizes

MODEL = "sar1-rgb"
N_CHANNELS = 24
N_BANDS: dict[Modality, int] = {"sar": 1, "optical": 3}
BOTH = pytest.mark.parametrize("modality", ["sar", "optical"])


@pytest.fixture(scope="module")
def mapper() -> LearnedMapper:
    return LearnedMapper(find_bundle(MODEL), threads=2)


@lru_cache
def fields(hw: tuple[int, int], n_bands: int) -> Image:
    """Fields with straight borders, and noise."""
    rng = np.random.default_rng(5)
    rows, columns = np.mgrid[: hw[0], : hw[1]]
    values = 0.05 * rng.standard_normal((n_bands, *hw))
    for _ in range(12):
        angle, offset = rng.uniform(0, np.pi), rng.uniform(0, max(hw))
        values += rng.uniform(-0.3, 0.3) * (np.cos(angle) * columns + np.sin(angle) * rows > offset)
    return Image.from_array(np.clip(0.5 + values, 0, 1).astype(np.float32))


def test_it_is_a_mapper(mapper: LearnedMapper) -> None:
    assert isinstance(mapper, Mapper)
    assert mapper.name == MODEL
    assert mapper.gsd_m == 10
    assert mapper.sha256 == find_bundle(MODEL).sha256
    assert {modality: len(spec.bands) for modality, spec in mapper.inputs.items()} == N_BANDS


@BOTH
@pytest.mark.parametrize("hw", [(64, 96), (77, 101), (33, 200), (5, 7), (1, 1)])
def test_any_size_keeps_its_size(mapper: LearnedMapper, modality: Modality, hw: tuple[int, int]) -> None:
    shared = mapper.map(fields(hw, N_BANDS[modality]), modality)
    assert shared.channels.shape == (N_CHANNELS, *hw)
    assert shared.channels.dtype == np.float32
    assert 0 <= shared.channels.min() <= shared.channels.max() <= 1
    assert shared.valid.all()


@BOTH
def test_it_is_deterministic(mapper: LearnedMapper, modality: Modality) -> None:
    image = fields((96, 96), N_BANDS[modality])
    fresh = LearnedMapper(find_bundle(MODEL), threads=2)
    assert np.array_equal(mapper.map(image, modality).channels, fresh.map(image, modality).channels)


@BOTH
@pytest.mark.parametrize("hw", [(192, 256), (201, 143)])
def test_windows_leave_no_seams(mapper: LearnedMapper, modality: Modality, hw: tuple[int, int]) -> None:
    image = fields(hw, N_BANDS[modality])
    cut = LearnedMapper(find_bundle(MODEL), threads=2, sizes=WindowSizes(whole_px=1, core_px=64))
    difference = np.abs(cut.map(image, modality).channels - mapper.map(image, modality).channels)
    assert difference.max() < 2e-3


@BOTH
def test_windows_leave_no_seams_on_a_real_scene(mapper: LearnedMapper, modality: Modality, shared_data: Path) -> None:
    import rasterio

    with rasterio.open(shared_data / "data" / "s1s2-us" / modality / "003.tif") as source:
        pixels = source.read(window=((200, 712), (300, 812)))[: N_BANDS[modality]]
    image = Image.from_array(pixels / np.float32(255))
    cut = LearnedMapper(find_bundle(MODEL), threads=2, sizes=WindowSizes(whole_px=1, core_px=160))
    difference = np.abs(cut.map(image, modality).channels - mapper.map(image, modality).channels)
    assert difference.max() < 1e-2


def test_beyond_the_exact_size_the_result_has_no_gaps() -> None:
    image = fields((160, 224), 3)
    sizes = WindowSizes(whole_px=1, exact_px=1, block_core_px=64, block_halo_px=64, max_samples=2)
    shared = LearnedMapper(find_bundle(MODEL), threads=2, sizes=sizes).map(image, "optical")
    whole = LearnedMapper(find_bundle(MODEL), threads=2).map(image, "optical")
    assert np.corrcoef(shared.channels.ravel(), whole.channels.ravel())[0, 1] > 0.9


@BOTH
def test_invalid_pixels_are_zero_and_their_values_do_not_matter(mapper: LearnedMapper, modality: Modality) -> None:
    image = fields((96, 128), N_BANDS[modality])
    valid = np.ones(image.hw, bool)
    valid[20:60, 30:90] = False
    results = [mapper.map(Image(np.where(valid, image.channels, np.float32(fill)), valid), modality) for fill in (0, 1)]
    assert np.array_equal(results[0].channels, results[1].channels)
    assert np.array_equal(results[0].valid, valid)
    assert not results[0].channels[:, ~valid].any()
    assert results[0].channels[:, valid].any()


def test_no_valid_pixel_gives_no_valid_pixel(mapper: LearnedMapper) -> None:
    shared = mapper.map(Image(np.zeros((1, 40, 40), np.float32), np.zeros((40, 40), bool)), "sar")
    assert not shared.valid.any()
    assert not shared.channels.any()


def test_progress_ends_at_the_total(mapper: LearnedMapper) -> None:
    steps: list[tuple[str, int, int]] = []
    mapper.map(fields((64, 64), 1), "sar", progress=lambda *step: steps.append(step))
    assert steps[-1] == ("map sar", 1, 1)


def test_another_number_of_channels_is_refused(mapper: LearnedMapper) -> None:
    with pytest.raises(
        InputError, match=r"wants 3 optical band\(s\), B04, B03, B02; found 1 channel.*with bands_optical\."
    ):
        mapper.map(fields((64, 64), 1), "optical")


def test_an_unknown_provider_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"Unknown execution provider 'GCPU'\. Did you mean 'CPU'\?"):
        LearnedMapper(find_bundle(MODEL), providers=["GCPU"])


@pytest.mark.parametrize("name", ["cpu", "CPUExecutionProvider"])
def test_a_provider_may_be_named_in_full_or_in_small_letters(name: str) -> None:
    LearnedMapper(find_bundle(MODEL), providers=[name]).map(fields((32, 32), 1), "sar")


def test_a_file_that_is_no_network(tmp_path: Path) -> None:
    card = find_bundle(MODEL).card
    bundle = write_bundle(tmp_path / "odd", card, {"sar": b"not a graph", "optical": b"neither"})
    with pytest.raises(ModelError, match=r"sar\.onnx: ONNX Runtime cannot load the network"):
        LearnedMapper(bundle).map(fields((32, 32), 1), "sar")


def test_a_card_that_lists_other_bands_than_the_network_takes(tmp_path: Path) -> None:
    shipped = find_bundle(MODEL)
    two = InputSpec(bands=("VV", "VH"))
    card = replace(shipped.card, inputs={"sar": two, "optical": shipped.card.inputs["optical"]})
    bundle = write_bundle(tmp_path / "odd", card, {"sar": shipped.read("sar"), "optical": shipped.read("optical")})
    with pytest.raises(ModelError, match="the network has 1 bands, the card says 2"):
        LearnedMapper(bundle).map(fields((32, 32), 2), "sar")


def test_a_card_with_other_channels_than_the_network_gives(tmp_path: Path) -> None:
    shipped = find_bundle(MODEL)
    card = replace(shipped.card, n_channels=4)
    bundle = write_bundle(tmp_path / "odd", card, {"sar": shipped.read("sar"), "optical": shipped.read("optical")})
    with pytest.raises(ModelError, match="the network has 24 channels of the shared modality, the card says 4"):
        LearnedMapper(bundle).map(fields((32, 32), 1), "sar")
