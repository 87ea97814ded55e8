import pytest

from midground.cli.match import _configs
from midground.cli.tables import aligned
from midground.errors import ConfigError
from midground.matching.configs import SiftConfig, TemplateConfig
from midground.matching.registry import MATCHERS


@pytest.mark.parametrize("names", ["sift", " sift", "sift,sift"])
@pytest.mark.parametrize("setting", ["ratio=0.9", "sift.ratio=0.9"])
def test_settings_of_one_matcher_may_name_it(names, setting):
    assert _configs(names, [setting], allow_download=False) == {"sift": SiftConfig(ratio=0.9)}


def test_settings_of_several_name_theirs():
    configs = _configs("template, sift,template", ["sift.ratio=0.9", "template.search_px=8"], allow_download=False)

    assert list(configs) == ["template", "sift"]
    assert configs == {"template": TemplateConfig(search_px=8), "sift": SiftConfig(ratio=0.9)}


@pytest.mark.parametrize("setting", ["rift2.ratio=0.9", "sift"])
def test_a_setting_of_no_matcher_that_is_compared_is_refused(setting):
    with pytest.raises(
        ConfigError, match=rf"MATCHER\.KEY=VALUE with one of sift, template for MATCHER; found '{setting}'"
    ):
        _configs("sift,template", [setting], allow_download=False)


def test_all_is_the_whole_table():
    assert list(_configs("all", [], allow_download=False)) == list(MATCHERS)


@pytest.mark.parametrize("allowed", [False, True])
def test_permission_to_download_reaches_those_that_could(allowed):
    configs = _configs("all", [], allow_download=allowed)

    can = {name: config.allow_download for name, config in configs.items() if hasattr(config, "allow_download")}
    assert "dedode" in can
    assert set(can.values()) == {allowed}
    assert _configs("dedode", [], allow_download=allowed)["dedode"].allow_download == allowed


def test_a_table_has_aligned_columns():
    assert aligned([("name", "n", "px"), ("a", "1000", "–")]) == ["name  n     px", "a     1000  –"]
