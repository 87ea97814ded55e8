"""Settings: what is refused, plain values, and where two of them differ."""

from pathlib import Path

import pytest

from midground.core.settings import differences, plain, require
from midground.errors import ConfigError


def test_differences_are_dotted_keys():
    assert differences({"a": 1, "b": {"c": 2, "d": 3}}, {"a": 1, "b": {"c": 4, "d": 3}, "e": 5}) == ["b.c", "e"]


def test_tuples_become_lists_and_paths_texts():
    assert plain({"a": (1, 2), "b": {"c": Path("d")}}) == {"a": [1, 2], "b": {"c": "d"}}


def test_a_setting_out_of_range_is_refused():
    require(True, "never told")
    with pytest.raises(ConfigError, match=r"^spacing_px must be 1 or more$"):
        require(False, "spacing_px must be 1 or more")
