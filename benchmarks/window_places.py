"""How far the windows that ``roma-shared`` compares carry without any training of the matcher.

    python benchmarks/window_places.py --data FOLDER [--model structure] [--oriented 9] [--n 16]

Of the places on the network's coarse grid in warped and cut SAR images (the validation places of configs/sar1-rgb.yaml,
shifted by up to 64 px; then turned by up to 30 degrees and scaled by 0.9 to 1.1 too): the share whose most similar
window of the optical image, under any of the rotations compared, lies within 12 px of the truth; mean over the pairs.
Needs the extra ``matchers``.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from command import run_script
from pairs import CONFIGS, data_root
from torch.nn import functional

from midground.datasets.catalogue import PairsConfig, open_pairs
from midground.datasets.splits import evenly_spread
from midground.evaluation.config import WarpConfig
from midground.evaluation.cuts import warped
from midground.evaluation.side_by_side import mapper_by_name
from midground.matching.ground import standardised
from midground.training.matcher.comparison import windows_around
from midground.training.matcher.grids import centres_xy
from midground.training.matcher.network import Shape

STRIDE_PX, NEAR_PX = 8, 12.0
WARPS = {
    "shifted": WarpConfig(shift_px=64, seed=9, scale=(1.0, 1.0001)),
    "turned, scaled and shifted": WarpConfig(shift_px=64, rotation_deg=30, scale=(0.9, 1.1), seed=9),
}


def main() -> None:
    """Print one line for each kind of warp."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--model", default="structure")
    parser.add_argument("--oriented", type=int, default=9, help="channels that belong to orientations")
    parser.add_argument("--n", type=int, default=16)
    arguments = parser.parse_args()
    collection = PairsConfig(
        path=data_root(arguments.data) / "ombria" / "train",
        bands_sar=(1,),
        include=CONFIGS / "sar1-rgb" / "ombria-validation.txt",
    )
    pairs, mapper = evenly_spread(open_pairs(collection), arguments.n), mapper_by_name(arguments.model)
    for name, warp in WARPS.items():
        shares = []
        for index in range(len(pairs)):
            sar, optical, truth = warped(pairs.read(index), warp, index)
            mapped = (mapper.map(sar, "sar"), mapper.map(optical, "optical"))
            one, other = (torch.from_numpy(standardised(image))[None] for image in mapped)
            still = windows_around(other, STRIDE_PX)[0, 0].T
            rotations_deg = Shape(one.shape[1], arguments.oriented, warp.rotation_deg).rotations_deg
            turned = windows_around(one, STRIDE_PX, rotations_deg, arguments.oriented)[0]
            found = (still @ turned).amax(0).argmax(0).numpy()
            moving_xy, fixed_xy = (
                centres_xy(functional.avg_pool2d(image, STRIDE_PX), STRIDE_PX).flatten(1).T.numpy()
                for image in (one, other)
            )
            error_px = np.linalg.norm(fixed_xy[found] - truth(moving_xy), axis=1)
            shares.append(float((error_px < NEAR_PX).mean()))
        print(f"{name}: {np.mean(shares):.2f} (median {np.median(shares):.2f}), {len(shares)} pairs")


if __name__ == "__main__":
    run_script(main)
