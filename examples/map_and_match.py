"""Which mapper and which matcher find conjugate points of a SAR and an optical image, and how many of them are right.

    python examples/map_and_match.py [--size 384] [--seed 3]

A pair of arrays is simulated, mapped by every mapper that needs no training and by the default model, and matched by
every matcher of the base install. A match is right if it lies within 3 px of the known transform.
"""

from __future__ import annotations

import argparse

import midground as mg
from midground.core.image import Image
from midground.core.metrics import cmr
from midground.core.radiometry import scene_limits, to_log_scale, to_unit
from midground.simulate import SceneConfig, render_pair

RIGHT_PX = 3.0
RED_GREEN_BLUE = [2, 1, 0]
"""Bands of the simulated optical image (B02, B03, B04, B08) in the order that the mappers want."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=384, help="side of both images, px")
    parser.add_argument("--seed", type=int, default=3)
    arguments = parser.parse_args()

    pair = render_pair(SceneConfig(seed=arguments.seed, size_px=arguments.size, shift_m=(60.0, -40.0)))
    optical = Image(pair.optical.channels[RED_GREEN_BLUE], pair.optical.valid)
    sar = to_log_scale(pair.sar, "power")

    print("| mapper | channels | matcher | matches | right |")
    print("|---|---|---|---|---|")
    for name in ("none", "structure", "default"):
        mapper = mg.build_mapper(name)
        moving = mapper.map(to_unit(sar, scene_limits(sar, mapper.inputs["sar"].scaling)), "sar")
        fixed = mapper.map(to_unit(optical, scene_limits(optical, mapper.inputs["optical"].scaling)), "optical")
        for matcher in ("sift", "template"):
            matches = mg.build_matcher(matcher).match(moving, fixed)
            right = cmr(matches, pair.fixed_from_moving, threshold_px=RIGHT_PX)
            share = "–" if right is None else f"{right:.0%}"
            print(f"| {name} | {moving.n_channels} | {matcher} | {len(matches)} | {share} |")


if __name__ == "__main__":
    main()
