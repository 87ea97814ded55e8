"""``ombria-shift``: 60 real pairs of 192 × 192 px with a known shift, the protocol that other tools were measured on.

    python benchmarks/peers_shift.py [--data FOLDER] [--n 60] [--model NAME|none] [--lead structure|model] [--search 24]

A pair counts as within d px if the average corner error is below d; a rejected registration counts as a failure in the
rows "verdict counts" and with its transform, if it has one, in the others. The pairs themselves are aligned to about
1.5 px, and every share is of all pairs.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from command import run_script
from pairs import Pair, data_root, ombria_shift

import midground as mg
from midground.core.transforms import Transform, corner_error

LIMITS_PX = (1, 2, 3, 5, 40)


def corner_error_px(pair: Pair, result: mg.Registration) -> float:
    """Average corner error against the known shift; infinite without a transform."""
    if result.fixed_from_moving is None:
        return float("inf")
    found = Transform(result.fixed_from_moving, result.transform or "affine")
    return corner_error(found, Transform.translation(*pair.shift_px), pair.moving.shape)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--n", type=int, default=60)
    parser.add_argument("--model", default="default")
    parser.add_argument("--lead", default="structure")
    parser.add_argument(
        "--search", type=int, default=None, help="largest shift searched, px; half the image if omitted"
    )
    arguments = parser.parse_args()
    pairs = list(ombria_shift(data_root(arguments.data), n=arguments.n))
    print("| transform | n | " + " | ".join(f"<{limit}" for limit in LIMITS_PX) + " | median ACE | s/pair | verdicts |")
    print("|---" * (len(LIMITS_PX) + 5) + "|")
    for transform in ("translation", "affine", "auto"):
        errors, accepted, seconds = [], [], []
        counts = {"accept": 0, "suspect": 0, "reject": 0}
        for pair in pairs:
            start = time.perf_counter()
            result = mg.register(
                pair.fixed,
                pair.moving,
                transform=transform,
                model=None if arguments.model == "none" else arguments.model,
                lead=arguments.lead,
                search_px=arguments.search,
            )
            seconds.append(time.perf_counter() - start)
            errors.append(corner_error_px(pair, result))
            counts[result.verdict] += 1
            accepted.append(errors[-1] if result.verdict != "reject" else float("inf"))
        for label, values in ((transform, errors), (f"{transform}, verdict counts", accepted)):
            shares = " | ".join(f"{np.mean(np.array(values) < limit):.0%}" for limit in LIMITS_PX)
            told = ", ".join(f"{name} {count}" for name, count in counts.items())
            print(
                f"| {label} | {len(values)} | {shares} | {np.median(values):.2f} | {np.median(seconds):.2f} | {told} |",
                flush=True,
            )


if __name__ == "__main__":
    run_script(main)
