"""Several mappers as one."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from midground.core.image import Image
from midground.errors import ConfigError
from midground.evaluation.side_by_side import SideBySide, mapper_by_name
from midground.modality.base import Mapper
from midground.modality.catalogue import DEFAULT_MODEL, find_bundle
from midground.modality.structure import GreyMapper, StructureMapper


def test_channels_come_one_after_the_other(make_texture) -> None:
    image = Image.from_array(make_texture(1, (40, 50), n_channels=3))
    both = SideBySide([StructureMapper(), GreyMapper()])
    assert isinstance(both, Mapper)
    assert both.name == "structure+none"
    parts = [mapper.map(image, "optical").channels for mapper in (StructureMapper(), GreyMapper())]
    assert np.array_equal(both.map(image, "optical").channels, np.concatenate(parts))


def test_a_pixel_is_valid_where_it_is_for_all(make_texture) -> None:
    class Left(GreyMapper):
        def map(self, image, modality, *, progress=None):
            mapped = super().map(image, modality)
            valid = mapped.valid.copy()
            valid[:, 20:] = False
            return Image(np.where(valid, mapped.channels, np.float32(0)), valid)

    valid = np.ones((30, 40), bool)
    valid[:10] = False
    image = Image(np.where(valid, make_texture(2, (30, 40)), np.float32(0)), valid)
    found = SideBySide([GreyMapper(), Left()]).map(image, "sar")
    assert found.valid.sum() == 20 * 20
    assert found.valid[10:, :20].all()


def test_it_asks_for_what_its_last_mapper_asks_for() -> None:
    mapper = mapper_by_name("structure+default")
    assert mapper.name == f"structure+{DEFAULT_MODEL}"
    assert mapper.inputs == dict(find_bundle("default").card.inputs)


def test_one_name_is_one_mapper() -> None:
    assert isinstance(mapper_by_name("structure"), StructureMapper)
    assert mapper_by_name("structure+none").name == "structure+none"


def test_a_folder_is_a_bundle(tmp_path: Path) -> None:
    shutil.copytree(find_bundle(DEFAULT_MODEL).folder, tmp_path / DEFAULT_MODEL)
    mapper = mapper_by_name(f"none+{tmp_path / DEFAULT_MODEL}")
    assert mapper.name == f"none+{DEFAULT_MODEL}"


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"'structur'.*Did you mean 'structure'\?"):
        mapper_by_name("none+structur")
