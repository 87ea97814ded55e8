import json
from pathlib import Path
from typing import get_args

import pytest
import typer

from midground.cli import options
from midground.cli.map import map_images
from midground.cli.match import match
from midground.cli.register import register
from midground.core.radiometry import SAR_SCALES
from midground.errors import ConfigError, InputError
from midground.geo.resample import RESAMPLINGS
from midground.geo.tiepoints import WRITERS
from midground.matching.registry import MATCHERS
from midground.modality.base import MODALITIES
from midground.registration.config import TRANSFORM_CHOICES, RegisterConfig
from midground.registration.save import ONTO


def help_of(command: object, parameter: str) -> str:
    """The help of an option, as it is declared."""
    from typing import get_type_hints

    declared = get_args(get_type_hints(command, include_extras=True)[parameter])[1]
    assert isinstance(declared, typer.models.ParameterInfo)
    return declared.help or ""


@pytest.mark.parametrize(
    ("command", "parameter", "names"),
    [
        (register, "transform", TRANSFORM_CHOICES),
        (register, "onto", ONTO),
        (register, "resampling", RESAMPLINGS),
        (register, "sar_scale", SAR_SCALES),
        (register, "fixed_modality", MODALITIES),
        (register, "tie_points", tuple(WRITERS)),
        (map_images, "modality", MODALITIES),
        (match, "matcher", tuple(MATCHERS)),
    ],
)
def test_help_names_every_choice(command: object, parameter: str, names: tuple[str, ...]) -> None:
    # Help is written out, since the tables behind it are too heavy to import for it.
    assert all(name in help_of(command, parameter) for name in names)


def test_help_states_the_defaults() -> None:
    defaults = RegisterConfig()
    assert f"{defaults.transform} (default)" in help_of(register, "transform")
    assert f"default {defaults.search_m:g}" in help_of(register, "search")
    assert f"default {defaults.seed}" in help_of(register, "seed")


def test_bands() -> None:
    assert options.parse_bands("--bands", None) is None
    assert options.parse_bands("--bands", "4, 3,2") == (4, 3, 2)
    for text in ("", "0", "1,,2", "red", "-1"):
        with pytest.raises(ConfigError, match="--bands takes band numbers"):
            options.parse_bands("--bands", text)


def test_shift() -> None:
    assert options.parse_shift("--shift", None) is None
    assert options.parse_shift("--shift", "120,-40.5") == (120.0, -40.5)
    for text in ("", "1", "1,2,3", "a,b"):
        with pytest.raises(ConfigError, match="--shift takes metres"):
            options.parse_shift("--shift", text)


def test_known_transform(tmp_path: Path) -> None:
    path = tmp_path / "truth.json"
    path.write_text(json.dumps({"fixed_from_moving": [[1, 0, 3], [0, 1, 4], [0, 0, 1]]}), encoding="utf-8")
    assert options.read_known_transform(path).matrix[:2, 2].tolist() == [3.0, 4.0]


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"fixed_from_moving": [[1, 2], [3, 4]]}', '{"fixed_from_moving": 1}']
)
def test_files_without_a_known_transform(tmp_path: Path, content: str) -> None:
    path = tmp_path / "truth.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match="fixed_from_moving"):
        options.read_known_transform(path)


@pytest.mark.parametrize("kind", ["matcher", "method"])
def test_settings_of_several_say_whose_they_are(kind: str) -> None:
    found = options.settings_by_name(kind, ["sift.ratio=0.9", "sift.a.b=1.5"], ["template", "sift"])
    assert found == {"template": [], "sift": ["ratio=0.9", "a.b=1.5"]}
    for text in ("sift", "sift.", "ratio=0.9", "rift2.ratio=0.9", "sift=1.5"):
        with pytest.raises(
            ConfigError, match=rf"--set takes {kind.upper()}\.KEY=VALUE with one of template, sift .*found '{text}'"
        ):
            options.settings_by_name(kind, [text], ["template", "sift"])


def test_existing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        options.existing(tmp_path / "missing.tif")
    with pytest.raises(InputError, match="this is a folder"):
        options.existing(tmp_path)
