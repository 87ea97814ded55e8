"""Settings: what is refused, plain values, and where two of them differ."""

from pathlib import Path

import numpy as np
import pytest

from midground.core.settings import changed, differences, plain, require
from midground.errors import ConfigError
from midground.registration.config import RegisterConfig


def test_differences_are_dotted_keys():
    assert differences({"a": 1, "b": {"c": 2, "d": 3}}, {"a": 1, "b": {"c": 4, "d": 3}, "e": 5}) == ["b.c", "e"]


def test_tuples_become_lists_and_paths_texts():
    assert plain({"a": (1, 2), "b": {"c": Path("d")}}) == {"a": [1, 2], "b": {"c": "d"}}


def test_a_setting_out_of_range_is_refused():
    require(True, "never told")
    with pytest.raises(ConfigError, match=r"^spacing_px must be 1 or more$"):
        require(False, "spacing_px must be 1 or more")


def test_settings_change_one_by_one_and_inside_one_another():
    config = changed(RegisterConfig(), {"gsd_m": np.float32(3), "model": None, "template": {"window_px": 64}})
    assert (config.gsd_m, config.model, config.template.window_px) == (3, None, 64)
    assert config.template.search_px == RegisterConfig().template.search_px
    assert changed(config, {}) == config


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sed": 1}, "Unknown setting 'sed'. Did you mean 'seed'"),
        ({"seed": True}, "setting 'seed': a whole number is expected, found True"),
        ({"transform": 3}, "setting 'transform': 'translation' or .* or 'auto' is expected, found 3"),
        ({"gsd_m": "10"}, "setting 'gsd_m': a number or None is expected, found '10'"),
        ({"template": 3}, "setting 'template': a TemplateConfig is expected, found 3"),
        ({"similarity": {"scale": (1, 2, 3)}}, r"setting 'similarity\.scale': a tuple of numbers is expected"),
        ({"fixed": {"bands": "12"}}, r"setting 'fixed\.bands': a tuple of numbers or None is expected, found '12'"),
        ({"estimate": {"refine": "no"}}, r"setting 'estimate\.refine': True or False is expected, found 'no'"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        changed(RegisterConfig(), settings)
