"""Earlier translations; needs torch."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from midground.training.translation.pool import ImagePool  # noqa: E402

pytestmark = pytest.mark.extras


def numbered(*numbers: int) -> torch.Tensor:
    """Images that hold their own number everywhere."""
    return torch.tensor(numbers, dtype=torch.float32)[:, None, None, None].expand(-1, 2, 3, 3).clone()


def numbers_of(images: torch.Tensor) -> list[int]:
    return [int(image[0, 0, 0]) for image in images]


def test_a_pool_that_is_not_full_gives_images_back() -> None:
    pool = ImagePool(5, 2, 3)
    rng = np.random.default_rng(0)
    assert numbers_of(pool.exchange(numbered(1, 2), rng)) == [1, 2]
    assert numbers_of(pool.exchange(numbered(3, 4), rng)) == [3, 4]
    assert int(pool.n_held) == 4
    assert numbers_of(pool.held) == [1, 2, 3, 4, 0]


def test_a_full_pool_gives_an_earlier_image_every_other_time_and_loses_none() -> None:
    pool = ImagePool(10, 2, 3)
    rng = np.random.default_rng(0)
    shown = [number for first in range(400) for number in numbers_of(pool.exchange(numbered(first), rng))]
    earlier = [number != index for index, number in enumerate(shown)]
    assert not any(earlier[:10])
    assert np.mean(earlier[10:]) == pytest.approx(0.5, abs=0.08)
    # Those that filled the pool are shown at once and once more later; the others once, now or later.
    left = numbers_of(pool.held)
    assert sorted(shown + left) == sorted([*range(10), *range(400)])


def test_the_images_that_are_given_are_not_changed() -> None:
    pool = ImagePool(1, 2, 3)
    images = numbered(*range(20))
    pool.exchange(images, np.random.default_rng(0))
    assert numbers_of(images) == list(range(20))


def test_a_pool_that_is_loaded_goes_on_alike() -> None:
    pool, other = ImagePool(4, 2, 3), ImagePool(4, 2, 3)
    pool.exchange(numbered(1, 2, 3, 4, 5), np.random.default_rng(0))
    other.load_state_dict(pool.state_dict())
    found = [numbers_of(one.exchange(numbered(6, 7, 8, 9), np.random.default_rng(1))) for one in (pool, other)]
    assert found[0] == found[1] != [6, 7, 8, 9]
