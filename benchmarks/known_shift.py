"""Real scenes of 1024 × 1024 px whose georeference is moved by a known offset, and scenes that show other places.

    python benchmarks/known_shift.py [--data FOLDER] [--model default|none] [--limit N] [--draws 1]

Known shift: the SAR file's geotransform is rewritten by up to ±40 px (seeded, fractions included), the pair is
registered, and the result is compared with that of the untouched pair, as the average corner error between the two
transforms of the same pixels. The scenes have no sub-pixel ground truth, so agreement is what can be measured.
Unrelated: the SAR image of San Antonio against the optical image of Los Angeles, given the same geotransform.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from command import run_script
from pairs import data_root, us_paths, us_scenes

import midground as mg
from midground.core.transforms import Transform, corner_error

MAX_SHIFT_PX = 40
HW = (1024, 1024)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--model", default="default")
    parser.add_argument("--limit", type=int, default=16)
    parser.add_argument("--draws", type=int, default=1, help="shifts drawn per scene")
    arguments = parser.parse_args()
    root = data_root(arguments.data)
    model = None if arguments.model == "none" else arguments.model
    known_shift(root, model, arguments.limit, arguments.draws)
    unrelated(root, model, arguments.limit)


def known_shift(root: Path, model: str | None, limit: int, draws: int) -> None:
    """Compare registrations of moved files with those of the untouched ones."""
    rng = np.random.default_rng(11)
    print("| scene | offset px | untouched | moved | disagreement px | trust | expected error px | s |")
    print("|---|---|---|---|---|---|---|---|")
    disagreements: list[float] = []
    n_runs = n_accepted_scenes = 0
    scenes = [row["scene"] for row in us_scenes(root, "test")][:limit]
    for scene in scenes:
        optical, sar = us_paths(root, scene)
        untouched = mg.register(optical, sar, model=model)
        n_accepted_scenes += untouched.verdict == "accept"
        for offset in rng.uniform(-MAX_SHIFT_PX, MAX_SHIFT_PX, (draws, 2)):
            n_runs += 1
            with moved_copy(sar, offset) as moved:
                start = time.perf_counter()
                result = mg.register(optical, moved, model=model)
            seconds = time.perf_counter() - start
            distance = disagreement_px(untouched, result)
            if untouched.verdict == result.verdict == "accept":
                disagreements.append(distance)
            expected = float("nan") if result.expected_error_px is None else result.expected_error_px
            print(
                f"| {scene} | {offset[0]:+.1f}, {offset[1]:+.1f} | {untouched.verdict} | {result.verdict} | "
                f"{distance:.2f} | {result.trust:.3f} | {expected:.2f} | {seconds:.1f} |",
                flush=True,
            )
    values = np.array(disagreements)
    print(
        f"\n{len(values)} of {n_runs} moved pairs accepted in both runs; {n_accepted_scenes} of {len(scenes)} scenes."
    )
    if len(values):
        print(
            f"Of the accepted: {np.mean(values <= 1.5):.0%} agree within 1.5 px, median {np.median(values):.2f} px, "
            f"largest {values.max():.2f} px.\n"
        )


def unrelated(root: Path, model: str | None, limit: int) -> None:
    """Register scenes of different cities."""
    print("| SAR scene | optical scene | verdict | trust |")
    print("|---|---|---|---|")
    counts = {"accept": 0, "suspect": 0, "reject": 0}
    elsewhere = [row["scene"] for row in us_scenes(root, "train") if row["mgrs_tile"].startswith("T11")]
    for index, row in enumerate(us_scenes(root, "test")[:limit]):
        other = elsewhere[index * len(elsewhere) // 16]
        optical, sar = us_paths(root, other)[0], us_paths(root, row["scene"])[1]
        with rasterio.open(optical) as dataset, placed_copy(sar, dataset.transform) as placed:
            result = mg.register(optical, placed, model=model)
        counts[result.verdict] += 1
        print(f"| {row['scene']} | {other} | {result.verdict} | {result.trust:.3f} |", flush=True)
    print("\nUnrelated pairs: " + ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) + ".")


def disagreement_px(one: mg.Registration, other: mg.Registration) -> float:
    """Average corner error between two results for the same pixels; infinite if one has no transform."""
    if one.fixed_from_moving is None or other.fixed_from_moving is None:
        return float("inf")
    return corner_error(Transform(other.fixed_from_moving), Transform(one.fixed_from_moving), HW)


@contextmanager
def placed_copy(path: Path, transform: Affine) -> Iterator[Path]:
    """A temporary copy of a raster with another geotransform."""
    with tempfile.TemporaryDirectory() as folder, rasterio.open(path) as source:
        copy = Path(folder) / path.name
        profile = {"driver": "GTiff", "dtype": source.dtypes[0], "count": source.count, "crs": source.crs}
        size = {"height": source.height, "width": source.width}
        with rasterio.open(copy, "w", transform=transform, **profile, **size) as target:
            target.write(source.read())
        yield copy


@contextmanager
def moved_copy(path: Path, offset_px: np.ndarray) -> Iterator[Path]:
    """A temporary copy whose georeference is off by (x, y) px."""
    with rasterio.open(path) as source:
        t, (x, y) = source.transform, (float(value) for value in offset_px)
        moved = Affine(t.a, t.b, t.a * x + t.b * y + t.c, t.d, t.e, t.d * x + t.e * y + t.f)
    with placed_copy(path, moved) as copy:
        yield copy


if __name__ == "__main__":
    run_script(main)
