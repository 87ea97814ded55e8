"""``register`` without georeference under any rotation: how often it is right, and how often its verdict is.

    python benchmarks/turned.py [--data FOLDER] [--n 34] [--model none|default] [--mismatched]
                                [--collection ombria|vhr] [--protocol wide|known-warp|shift]

Test pairs, evenly spread: the SAR image is turned by any angle, scaled by 0.7 to 1.4 and shifted by up to ±64 px, and
the largest square with data is cut out of it, so that no outline tells the warp. Affine; a result is right if its
average corner error is below 5 px. ``--protocol``: other warps, those of ``midground bench``. ``--mismatched``: with
the optical image of another pair, so that every result is wrong. ``--collection vhr``: ``vhr-aligned``, another sensor.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from dataclasses import replace

import numpy as np
from command import run_script
from pairs import Ombria, data_root, vhr_aligned

from midground.bench.config import PROTOCOLS
from midground.core.image import Image
from midground.core.metrics import ace
from midground.core.transforms import Transform
from midground.datasets.splits import spread_indices
from midground.evaluation.cuts import warped
from midground.registration.api import register
from midground.registration.config import InputConfig, RegisterConfig

COLLECTIONS = {"ombria": Ombria, "vhr": vhr_aligned}
RIGHT_PX = 5.0
SEED = 1


def eight_bit(image: Image) -> Image:
    """A unit-scaled image with the values of its file."""
    return Image(np.rint(image.channels * 255).astype(np.float32), image.valid)


def main() -> None:
    """Print shares of all pairs, unless they are mismatched, and one line for each verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--n", type=int, default=34)
    parser.add_argument("--model", default="none")
    parser.add_argument("--mismatched", action="store_true")
    parser.add_argument("--collection", choices=COLLECTIONS, default="ombria")
    parser.add_argument("--protocol", choices=[name for name in PROTOCOLS if name != "identity"], default="wide")
    arguments = parser.parse_args()
    source = COLLECTIONS[arguments.collection](data_root(arguments.data))
    pairs = [source.read(index) for index in spread_indices(len(source), arguments.n)]
    warp = replace(PROTOCOLS[arguments.protocol], seed=SEED)
    model = None if arguments.model == "none" else arguments.model
    config = RegisterConfig(moving=InputConfig(sar_scale="8bit"), model=model)
    if arguments.mismatched and len(pairs) < 2:
        raise SystemExit("--mismatched: needs two pairs at least; raise --n.")
    errors, seconds, verdicts, in_expected, off_px = [], [], Counter[str](), [], []
    apart = len(pairs) // 2 if arguments.mismatched else 0
    for index, pair in enumerate(pairs):
        optical = pairs[(index + apart) % len(pairs)].optical
        both = replace(pair, sar=eight_bit(pair.sar), optical=eight_bit(optical))
        moving, optical, truth = warped(both, warp, index)
        start = time.perf_counter()
        result = register(optical, moving, config=config)
        seconds.append(time.perf_counter() - start)
        matrix = result.fixed_from_moving
        is_failed = matrix is None or arguments.mismatched
        errors.append(np.inf if is_failed else ace(Transform(matrix), truth, moving.hw))
        if result.verdict != "reject" and not arguments.mismatched:
            in_expected.append(errors[-1] / result.expected_error_px)
            off_px += [f"{errors[-1]:.1f} ({result.verdict})"] if errors[-1] >= RIGHT_PX else []
        verdicts[f"{result.verdict}, {'right' if errors[-1] < RIGHT_PX else 'wrong'}"] += 1
    shares = ", ".join(f"{np.mean(np.array(errors) < limit):.2f} below {limit:g} px" for limit in (1, 3, 5))
    accuracy = "mismatched" if apart else f"{shares}; median {np.median(errors):.2f} px"
    print(f"{len(pairs)} pairs: {accuracy}")
    print(f"{np.median(seconds):.1f} s a pair (median)")
    if in_expected:
        shares = ", ".join(f"{np.mean(np.array(in_expected) < times):.2f} within {times}" for times in (1, 2, 3))
        print(f"of {len(in_expected)} not rejected: {shares} times the expected error")
        print(f"px off, of those that are wrong: {', '.join(off_px) or 'none'}")
    for verdict, count in sorted(verdicts.items()):
        print(f"  {verdict}: {count}")


if __name__ == "__main__":
    run_script(main)
