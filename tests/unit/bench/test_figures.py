"""Which pair of a collection is shown."""

import shutil

import cv2

from midground.bench.config import PROTOCOLS
from midground.bench.figures import shown_index
from midground.datasets.catalogue import PairsConfig, open_pairs


def test_the_pair_that_is_shown_is_the_one_nearest_to_the_middle_that_is_large_enough(pairs, tmp_path):
    folder = shutil.copytree(pairs.path, tmp_path / "places")
    opened = open_pairs(PairsConfig(path=folder))
    assert shown_index(opened, PROTOCOLS["shift"]) == 2
    for index in (2, 1, 0, 3):
        for name in ("sar", "optical"):
            path = str(folder / name / f"{index}.png")
            cv2.imwrite(path, cv2.imread(path, cv2.IMREAD_UNCHANGED)[:40, :44])
        found = shown_index(open_pairs(PairsConfig(path=folder)), PROTOCOLS["shift"])
        assert found == {2: 1, 1: 3, 0: 3, 3: None}[index]
    assert shown_index(open_pairs(PairsConfig(path=folder)), PROTOCOLS["identity"]) == 2
