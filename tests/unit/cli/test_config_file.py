import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from midground.cli.config_file import read_yaml, resolve_config
from midground.errors import ConfigError, InputError
from midground.registration.config import RegisterConfig
from midground.training.config import TrainConfig
from midground.training.matcher.config import MatcherTrainConfig


def test_order_is_defaults_file_set_options(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("search_m: 100\ngsd_m: 20\nseed: 1\ntemplate:\n  spacing_px: 64\n", encoding="utf-8")
    config = resolve_config(
        RegisterConfig, file=file, settings=["seed=2", "gsd_m=30", "template.window_px=128"], options={"seed": 3}
    )
    assert (config.search_m, config.gsd_m, config.seed) == (100.0, 30.0, 3)
    assert (config.template.spacing_px, config.template.window_px) == (64, 128)
    assert config.transform == RegisterConfig().transform


def test_values_keep_their_types() -> None:
    config = resolve_config(
        RegisterConfig,
        settings=["model=null", "fixed.bands=[4, 3, 2]", "estimate.refine=false", "moving.sar_scale=db"],
        options={"search_m": 250},
    )
    assert config.model is None
    assert config.fixed.bands == (4, 3, 2)
    assert config.estimate.refine is False
    assert config.moving.sar_scale == "db"
    assert isinstance(config.search_m, float)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["serch_m=3"], "unknown setting 'serch_m'. Did you mean 'search_m'?"),
        (["template.windw_px=3"], "unknown setting 'template.windw_px'. Did you mean 'window_px'?"),
        (["transform=afine"], "Did you mean 'affine'?"),
        (["estimate.method=ransack"], "Did you mean 'ransac'?"),
        (["search_m=far"], "setting 'search_m': .*found 'far'"),
        (["search_m=-1"], "search_m must be positive and finite, found -1"),
        (["template.spacing_px=0"], "spacing_px must be 1 or more, found 0"),
        (["fixed.bands=[0]"], "Bands are counted from 1"),
        (["fixed.bands=4"], r"setting 'fixed.bands': a list in brackets is expected, such as '\[4\]', found 4\.$"),
        (["seed"], "--set takes KEY=VALUE"),
        (["seed=[1"], "the value is not YAML"),
        (["seed.x.y=1", "seed.x=1"], "setting 'seed'"),
        (["seed=1", "seed.x=1"], "'seed' is a value"),
    ],
)
def test_wrong_settings_are_refused(settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve_config(RegisterConfig, settings=settings)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("data.train=pairs", "a list in brackets is expected, such as '[{pairs: {path: pairs}}]', found 'pairs'."),
        (
            "data.train={path: a}",
            "a list in brackets is expected, such as '[{pairs: {path: a}}]', found {'path': 'a'}.",
        ),
        ("data.train=3", "a list in brackets is expected, such as '[{pairs: {path: PATH}}]', found 3."),
        ("data.validation=a b", "settings in braces are expected, such as '{path: a b}', found 'a b'."),
        ("network=compact", "settings in braces are expected, such as '{name: compact}', found 'compact'."),
        ("criterion=correlation", "settings in braces are expected, such as '{name: correlation}', found"),
        ("augment=true", "settings in braces are expected, such as '{flips: true}', found True."),
        ("optimizer.betas=0.9", "a list in brackets is expected, such as '[0.9, 0.9]', found 0.9."),
        ("criterion.window_px=wide", "a list in brackets is expected, such as '[1, 1]', found 'wide'."),
        ("card.sar_bands=VV", "a list in brackets is expected, such as '[VV]', found 'VV'."),
    ],
)
def test_lists_and_settings_inside_are_shown_by_an_example(tmp_path: Path, setting: str, message: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("name: tiny\ndata: {train: [{pairs: {path: pairs}}]}\ncriterion: {name: correlation}\n")
    key, _, value = setting.partition("=")
    with pytest.raises(ConfigError) as caught:
        resolve_config(TrainConfig, file=file, settings=[setting])
    assert str(caught.value).startswith(f"setting '{key}': {message}")
    if "'[{" in message:
        # What is shown is right, and in a file it stands without the quotes of a shell.
        shown = message.split("'")[1]
        assert resolve_config(TrainConfig, file=file, settings=[f"{key}={shown}"])
        file.write_text(f"name: tiny\ndata: {{train: {value}}}\n")
        with pytest.raises(ConfigError, match=re.escape(f"such as {shown}, found")):
            resolve_config(TrainConfig, file=file)


def test_only_names_that_are_close_are_offered() -> None:
    with pytest.raises(ConfigError, match=r"^unknown setting 'n_channels'\. Known: name, "):
        resolve_config(MatcherTrainConfig, settings=["n_channels=3"])


@dataclass(frozen=True, kw_only=True)
class Circle:
    name: Literal["circle"] = "circle"
    radius_px: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Square:
    name: Literal["square"] = "square"
    side_px: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Drawing:
    shape: Circle | Square = field(default_factory=Square)


def test_settings_of_one_of_several_kinds_say_which() -> None:
    assert resolve_config(Drawing, settings=["shape={name: circle, radius_px: 3}"]) == Drawing(
        shape=Circle(radius_px=3)
    )
    with pytest.raises(
        ConfigError,
        match=r"^setting 'shape': there are several kinds, and 'shape\.name' does not say which; set it to one of "
        r"circle, square\.$",
    ):
        resolve_config(Drawing, settings=["shape.radius_px=3"])
    with pytest.raises(ConfigError, match=r"Unknown shape\.name 'squore'\. Did you mean 'square'\?"):
        resolve_config(Drawing, settings=["shape.name=squore"])


@dataclass(frozen=True, kw_only=True)
class Ink:
    colour: str


@dataclass(frozen=True, kw_only=True)
class Print:
    inks: tuple[Ink, ...]


def test_a_setting_that_is_missing_is_named(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("inks: [{}]\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"settings\.yaml: the setting 'inks\.colour' is missing; give it a value\.$"):
        resolve_config(Print, file=file)
    with pytest.raises(ConfigError, match=r"^the setting 'inks' is missing"):
        resolve_config(Print)


def test_unknown_settings_are_refused_in_lists_too(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("inks: [{colour: red}, {colour: blue, color: red}]\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"settings\.yaml: unknown setting 'inks\.color'\. Did you mean 'colour'\?"):
        resolve_config(Print, file=file)
    with pytest.raises(
        ConfigError, match=r"unknown setting 'data\.train\.pairs\.band_sar'\. Did you mean 'bands_sar'\?"
    ):
        resolve_config(TrainConfig, settings=["data.train=[{pairs: {path: pairs, band_sar: [1]}}]"])


def test_a_kind_that_is_not_said_is_sought_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("shape: {}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"settings\.yaml: setting 'shape': there are several kinds"):
        resolve_config(Drawing, file=file)


def test_errors_name_the_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("sead: 1\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"settings\.yaml: unknown setting 'sead'. Did you mean 'seed'\?"):
        resolve_config(RegisterConfig, file=file)
    file.write_text("seed: 1\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"^unknown setting 'sead'"):
        resolve_config(RegisterConfig, file=file, settings=["sead=2"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2]", "found list"),
        ("a: [1,\nb: 2", r"settings\.yaml, line 2: is not YAML \(.*\); correct it\.$"),
        ("a: \x00", r"settings\.yaml: is not YAML"),
    ],
)
def test_files_that_hold_no_settings(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_yaml(file)


def test_empty_and_missing_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    with pytest.raises(InputError, match="no such file"):
        read_yaml(file)
    file.touch()
    assert resolve_config(RegisterConfig, file=file) == RegisterConfig()
