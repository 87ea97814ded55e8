"""Matchability on pairs whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from midground.core.image import Image
from midground.core.progress import silent
from midground.errors import InputError
from midground.evaluation.config import MatchabilityConfig, WarpConfig
from midground.evaluation.matchability import Matchability, measure, with_fitting_windows
from midground.modality.structure import GreyMapper


class CountingMapper(GreyMapper):
    """Maps identically, and remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, bytes]] = []

    def map(self, image, modality, *, progress=silent):
        self.calls.append((modality, image.channels.tobytes()))
        return image


WINDOWS_ALONE = MatchabilityConfig(windows_px=(48, 32), search_px=12, matchers=())


def identical(make_texture, n: int, hw: tuple[int, int] = (128, 128)) -> list[tuple[Image, Image]]:
    images = [Image.from_array(make_texture(seed, hw)) for seed in range(n)]
    return [(image, image) for image in images]


def with_a_failure(make_texture) -> list[tuple[Image, Image]]:
    """Three pairs that match, and one whose images have nothing in common."""
    return [*identical(make_texture, 3), tuple(Image.from_array(make_texture(seed)) for seed in (10, 11))]


def test_windows_that_fit_are_searched(make_texture, make_pairs) -> None:
    pairs = make_pairs([*identical(make_texture, 1), *identical(make_texture, 1, (128, 40))])
    assert with_fitting_windows(WINDOWS_ALONE, pairs).windows_px == (32,)
    assert with_fitting_windows(MatchabilityConfig(), pairs).windows_px == (64,)


def test_shares_are_of_all_pairs(make_texture, make_pairs) -> None:
    config = MatchabilityConfig(windows_px=(48, 32), search_px=12, matchers=("sift",), feature_weight=0.25)
    found = measure(GreyMapper(), make_pairs(with_a_failure(make_texture)), config)
    assert found.n_pairs == 4
    assert [len(found.window_errors[side]) for side in (48, 32)] == [4, 4]
    assert found.found(48) == found.found(32) == 0.75
    assert found.found(48, within_px=1e-3) <= 0.75
    assert found.successes("sift") == 0.75
    assert found.successes("sift", 1.0) == 0.75
    assert found.score == pytest.approx(0.75)


def test_matchers_take_as_many_key_points_as_they_are_given(make_texture, make_pairs) -> None:
    pairs = make_pairs(identical(make_texture, 2))
    few, many = (
        measure(GreyMapper(), pairs, MatchabilityConfig(windows_px=(48,), search_px=12, max_keypoints=n))
        for n in (3, 400)
    )
    # Four matches make a transform.
    assert few.successes("sift") == 0
    assert many.successes("sift") == 1


def test_a_pair_without_data_fails_and_counts(make_texture, make_pairs) -> None:
    empty = Image(np.zeros((1, 128, 128), np.float32), np.zeros((128, 128), bool))
    pairs = [*identical(make_texture, 1), (empty, empty)]
    config = MatchabilityConfig(windows_px=(48,), search_px=12, similarity=True)
    found = measure(GreyMapper(), make_pairs(pairs), config)
    assert found.window_errors[48].tolist() == [pytest.approx(0, abs=0.05), np.inf]
    assert found.corner_errors["sift"][1] == np.inf
    assert (found.found(48), found.successes("sift"), found.score) == (0.5, 0.5, 0.5)
    # What is not defined for a pair is left out of the mean, and the number says of how many it is.
    assert (found.similarity["RMSE"].value, found.similarity["RMSE"].n_defined) == (0, 1)


def made_up(windows: dict[int, list[float]], corners: dict[str, list[float]], **config: object) -> Matchability:
    settings = MatchabilityConfig(windows_px=tuple(windows), matchers=tuple(corners), **config)
    return Matchability(
        settings,
        4,
        {side: np.array(errors) for side, errors in windows.items()},
        {name: np.array(errors) for name, errors in corners.items()},
    )


def test_the_score_weighs_windows_and_matchers_within_3_px() -> None:
    inf = float("inf")
    found = made_up(
        {96: [0.0, 3.0, 3.1, inf], 64: [0.0, 50.0, inf, inf]}, {"sift": [1.0, 39.9, 40.0, inf]}, feature_weight=0.2
    )
    assert (found.found(96), found.found(64), found.successes("sift")) == (0.5, 0.25, 0.5)
    assert found.score == pytest.approx(0.8 * 0.375 + 0.2 * 0.25)
    assert found.numbers() == {
        "window 96 px": 0.5,
        "window 64 px": 0.25,
        "sift ACE < 40 px": 0.5,
        "sift ACE < 3 px": 0.25,
    }
    assert str(found).startswith("matchability 0.350 (window 96 px 0.50, window 64 px 0.25, sift ACE < 40 px 0.50")
    assert made_up({96: [0.0, inf, inf, inf]}, {}).score == 0.25


def test_a_known_warp_is_found(make_texture, make_pairs) -> None:
    """A mapper that changes nothing must find its warped texture: this closes the loop of warp and truth."""
    config = MatchabilityConfig(
        windows_px=(64,),
        search_px=12,
        windows_per_side=2,
        window_warp=WarpConfig(shift_px=6, rotation_deg=1, scale=(0.99, 1.01)),
        feature_warp=WarpConfig(shift_px=10, rotation_deg=20, scale=(0.9, 1.1)),
    )
    found = measure(CountingMapper(), make_pairs(identical(make_texture, 4, (192, 192))), config)
    assert found.window_errors[64].shape == (16,)
    assert found.window_errors[64].max() < 0.5
    assert found.corner_errors["sift"].max() < 1.5


def test_the_same_is_mapped_once(make_texture, make_pairs) -> None:
    warp, whole = WarpConfig(shift_px=6), {"windows_px": (48,), "search_px": 12, "frame_shift_px": 0}
    for config, n_sar in (
        (MatchabilityConfig(similarity=True, **whole), 1),
        (MatchabilityConfig(window_warp=warp, feature_warp=warp, **whole), 1),
        (MatchabilityConfig(feature_warp=warp, **whole), 2),
        (MatchabilityConfig(window_warp=warp, feature_warp=warp, similarity=True, **whole), 2),
        (MatchabilityConfig(windows_px=(48, 32), search_px=12), 2),
    ):
        mapper = CountingMapper()
        measure(mapper, make_pairs(identical(make_texture, 2)), config)
        assert [modality for modality, _ in mapper.calls] == 2 * ["optical", *n_sar * ["sar"]]
        assert len(set(mapper.calls)) == len(mapper.calls)


class PlaceMapper(CountingMapper):
    """Says of every pixel where in the image it lies, whatever it shows."""

    def map(self, image, modality, *, progress=silent):
        places = np.random.default_rng(0).random((1, 256, 256), np.float32)
        return Image.from_array(places[:, : image.hw[0], : image.hw[1]], image.valid)


def test_a_mapper_that_knows_places_only_finds_nothing(make_texture, make_pairs) -> None:
    pairs = make_pairs(identical(make_texture, 6, (192, 192)))
    settings = {"windows_px": (48,), "search_px": 40, "matchers": ()}
    assert measure(PlaceMapper(), pairs, MatchabilityConfig(**settings)).found(48) < 0.4
    assert measure(PlaceMapper(), pairs, MatchabilityConfig(frame_shift_px=0, **settings)).found(48) == 1


def test_similarity_is_that_of_the_images_as_they_lie(make_texture, make_pairs) -> None:
    texture = make_texture(1)
    brighter = Image.from_array(np.clip(texture, 0, 0.9) + np.float32(0.1))
    pairs = make_pairs([(Image.from_array(np.clip(texture, 0, 0.9)), brighter)])
    config = MatchabilityConfig(windows_px=(48,), matchers=(), similarity=True, window_warp=WarpConfig(shift_px=9))
    found = measure(CountingMapper(), pairs, config)
    assert found.similarity["RMSE"].value == pytest.approx(0.1, abs=1e-6)
    assert found.similarity["PSNR dB"].value == pytest.approx(20, abs=1e-3)
    assert set(found.numbers()) == {"window 48 px", "RMSE", "PSNR dB", "SSIM"}


def test_progress_is_told_after_every_pair(make_texture, make_pairs) -> None:
    told: list[tuple[str, int, int]] = []
    pairs = make_pairs(identical(make_texture, 2))
    measure(GreyMapper(), pairs, WINDOWS_ALONE, progress=lambda *step: told.append(step))
    assert told == [("matching pairs", 1, 2), ("matching pairs", 2, 2)]


def test_nothing_to_measure_on(make_pairs) -> None:
    with pytest.raises(InputError, match="holds no pair to measure on"):
        measure(GreyMapper(), make_pairs([]))


def test_windows_that_do_not_fit_are_refused(make_texture, make_pairs) -> None:
    pairs = make_pairs([*identical(make_texture, 1), *identical(make_texture, 1, (40, 128))])
    with pytest.raises(InputError, match="Windows of 48 px do not fit into the pair 'pair 1' of 40 × 128 px: choose a"):
        measure(GreyMapper(), pairs, WINDOWS_ALONE)
