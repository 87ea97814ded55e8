import pytest

from midground.errors import ConfigError
from midground.evaluation.config import MatchabilityConfig, WarpConfig


def test_without_a_range_a_warp_changes_nothing() -> None:
    assert WarpConfig().is_identity
    assert WarpConfig(seed=4).is_identity
    for changed in (WarpConfig(shift_px=1), WarpConfig(rotation_deg=0.1), WarpConfig(scale=(1.0, 1.1))):
        assert not changed.is_identity


@pytest.mark.parametrize("wrong", [{"shift_px": -1}, {"rotation_deg": -1}, {"scale": (0, 1)}, {"scale": (1.1, 0.9)}])
def test_impossible_warps(wrong: dict) -> None:
    with pytest.raises(ConfigError, match="warp: shift_px and rotation_deg must not be negative"):
        WarpConfig(**wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"windows_px": ()}, r"windows_px must be one or more sides from 8 px up, found \[\]"),
        ({"windows_px": (64, 7)}, r"found \[64, 7\]"),
        ({"search_px": 0}, "search_px and windows_per_side must be 1 or more"),
        ({"windows_per_side": 0}, "search_px and windows_per_side must be 1 or more"),
        ({"matchers": ("surf",)}, "matchers names 'surf'; known are sift, xfeat"),
        ({"max_keypoints": 0}, "max_keypoints must be 1 or more, found 0"),
        ({"feature_weight": 1.5}, "feature_weight must lie between 0 and 1, found 1.5"),
    ],
)
def test_impossible_measurements(wrong: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MatchabilityConfig(**wrong)
