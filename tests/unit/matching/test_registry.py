import importlib
import subprocess
import sys
from typing import get_args

import pytest

from midground.errors import ConfigError, DependencyError, ModelError
from midground.matching.base import Matcher
from midground.matching.configs import MatcherConfig, RomaSharedConfig, SiftConfig, TemplateConfig
from midground.matching.registry import MATCHERS, build_matcher, wanted_mapper


def test_every_config_has_its_row_under_its_own_name():
    assert {spec.config for spec in MATCHERS.values()} == set(get_args(MatcherConfig))
    for name, spec in MATCHERS.items():
        assert spec.config().name == name


def test_every_target_is_a_module_of_the_package():
    for spec in MATCHERS.values():
        module, function = spec.target.split(":")
        assert importlib.util.find_spec(module) is not None
        assert function == "build"


def test_rows_with_weights_state_their_licence():
    for spec in MATCHERS.values():
        assert bool(spec.weights) == bool(spec.licence)


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError):
        MATCHERS["sift"] = MATCHERS["template"]


@pytest.mark.parametrize("wanted", ["sift", SiftConfig(ratio=0.9), "template", TemplateConfig(search_px=9)])
def test_builds_from_a_name_or_a_config(wanted):
    assert isinstance(build_matcher(wanted), Matcher)


def test_an_unknown_name_offers_the_nearest():
    with pytest.raises(ConfigError, match=r"matcher 'shift'\. Did you mean 'sift'\? Known: .*sift,"):
        build_matcher("shift")


def test_a_missing_extra_names_the_pip_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "midground.matching.xfeat", raising=False)

    with pytest.raises(DependencyError, match=r"'xfeat'.*pip install 'midground\[matchers\]'") as caught:
        build_matcher("xfeat")

    assert caught.value.extra == "matchers"


def test_what_a_matcher_was_trained_on_is_on_its_card(tmp_path):
    assert wanted_mapper(SiftConfig()) is None
    assert wanted_mapper(RomaSharedConfig()) == "structure"
    with pytest.raises(ModelError, match="no trained matcher"):
        wanted_mapper(RomaSharedConfig(weights=tmp_path))


def test_the_table_loads_no_backend():
    heavy = ("cv2", "torch", "kornia", "scipy", "rasterio", "onnxruntime")
    program = f"import sys, midground.matching.registry; print(*[name for name in {heavy!r} if name in sys.modules])"

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert loaded.stdout.split() == []
