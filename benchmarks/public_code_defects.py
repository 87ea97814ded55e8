"""What the known defects of the paper's public code do to the numbers, on matches that ``midground bench`` kept.

    midground bench predict benchmarks/ombria-test.yaml -o runs/bench --limit 34 \
        --models none --methods content-blind,sift,template
    midground bench predict benchmarks/ombria-test.yaml -o runs/bench --limit 34 \
        --models structure --methods sift,template,roma-shared
    midground bench predict benchmarks/ombria-test.yaml -o runs/bench --limit 34 --protocols known-warp \
        --models none --methods content-blind,register
    midground bench predict benchmarks/ombria-test.yaml -o runs/bench --limit 34 --protocols known-warp \
        --models structure --methods roma-shared
    python benchmarks/public_code_defects.py runs/bench

For each run: the number as it should be, and as the defect makes it. The defects were read in the code that belongs to
the paper (commit e3fa67f of BorisovAN/shmod); none of it is used here.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from command import run_script

from midground.bench.records import load, pair_file
from midground.bench.scores import Run, find_runs, read_run
from midground.core.metrics import ace, point_errors
from midground.core.transforms import Transform, corners_xy

STRETCH = Transform(np.diag([1.05, 1.0, 1.0]))
STRETCHED_HW = (256, 1024)


def main() -> None:
    """Print a table for each defect."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    arguments = parser.parse_args()
    runs = [read_run(found) for folder in arguments.runs for found in find_runs(folder)]
    identity = [run for run in runs if run.protocol == "identity"]
    warped = [run for run in runs if run.protocol != "identity"]
    table(
        "failures averaged in as zero error: LE5, px", "over pairs with a correct match", "as averaged", identity, zeros
    )
    table("ACE averaged over survivors, px", "median of all pairs", "mean of ACE below 40 px", identity, survivors)
    table("MMA with pairs that found nothing as 0", "over successes", "as averaged", identity, mma)
    table("abs(P5 correct) as a product of means", "mean number", "abs(P) times CMR5", identity, product)
    table(
        "the identity as the only truth: pairs with most matches correct", "truth: the warp", "identity", warped, truth
    )
    print(f"\nmixed axes: corner error of a stretch of 5 % in x, {STRETCHED_HW[0]} × {STRETCHED_HW[1]} px\n")
    print(
        f"as defined {ace(STRETCH, Transform.identity(), STRETCHED_HW):.1f} px, "
        f"with rows taken for x {mixed_axes():.1f} px"
    )


def table(title: str, right: str, wrong: str, runs: list[Run], measure: object) -> None:
    """Both numbers of each run."""
    print(f"\n{title}\n\n| transformation | matcher | {right} | {wrong} |\n|---|---|---|---|")
    for run in runs:
        one, other = measure(run)  # type: ignore[operator]
        print(f"| {run.model} | {run.method} | {one:.3f} | {other:.3f} |", flush=True)


def zeros(run: Run) -> tuple[float, float]:
    errors = [score.localization_error(5.0) for score in run.scores]
    return run.localization_error().value or np.nan, float(np.mean([error or 0.0 for error in errors]))


def survivors(run: Run) -> tuple[float, float]:
    return run.median_ace().value or np.nan, run.mean_ace().value or np.nan


def mma(run: Run) -> tuple[float, float]:
    # Without a match 0, without an estimate left out.
    counted = [0.0 if not score.errors_px.size else score.mma for score in run.scores]
    kept = [value for value in counted if value is not None]
    return run.mean_mma().value or np.nan, float(np.mean(kept)) if kept else np.nan


def product(run: Run) -> tuple[float, float]:
    return run.n_correct().value or 0.0, (run.n_matches().value or 0.0) * (run.cmr().value or 0.0)


def truth(run: Run) -> tuple[float, float]:
    found = [load(pair_file(run.folder, index)) for index in range(len(run.scores))]
    shares = [
        np.mean([(point_errors(one.matches, of) <= 5).mean() > 0.5 if len(one.matches) else False for one, of in pairs])
        for pairs in (
            [(one, one.truth) for one in found],
            [(one, Transform.identity()) for one in found],
        )
    ]
    return float(shares[0]), float(shares[1])


def mixed_axes() -> float:
    """Corners as (x, y) put into a matrix for (row, column)."""
    corners = corners_xy(STRETCHED_HW)
    swapped = Transform(STRETCH.matrix[np.ix_([1, 0, 2], [1, 0, 2])])
    return float(np.linalg.norm(swapped(corners) - corners, axis=1).mean())


if __name__ == "__main__":
    run_script(main)
