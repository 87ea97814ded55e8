"""Mappers compared by what can be found in their images: one table for each data set, every mapper in the same run.

    python benchmarks/matchability.py [--data FOLDER] [--models structure,default] [--only ombria,vhr,us] [--features]

``ombria``: test pairs with under 10 % black pixels and some contrast, one central window of each size, searched within
±40 px; 96 px also within ±80 px. ``vhr-aligned``: the same on another sensor and scale. ``s1s2-us``: nine windows of
512 px in each test scene; their truth is the scene's consensus, the median shift over the windows of all mappers of the
run: each mapper is one of its judges, and shares move by some points with the mappers that are in the run. A name a+b
means the channels of both, side by side. ``--features`` adds SIFT and XFeat on the ``ombria`` pairs as they are: share
of corner errors below 40 px, and below 3 px.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from command import names_of, run_script
from pairs import Ombria, data_root, us_paths, us_scenes, vhr_aligned

from midground.core.image import Image
from midground.core.transforms import Transform
from midground.datasets.base import PairSource
from midground.evaluation.config import MatchabilityConfig
from midground.evaluation.matchability import measure
from midground.evaluation.side_by_side import mapper_by_name
from midground.evaluation.windows import window_shifts_px
from midground.modality.base import Mapper

COLLECTIONS = ("ombria", "vhr", "us")
WINDOWS_PX = (176, 128, 96, 64, 48)
SCENE_WINDOW_PX = 512


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--models", default="structure,default,structure+default")
    parser.add_argument("--only", type=names_of("collection", COLLECTIONS), default=",".join(COLLECTIONS))
    parser.add_argument("--features", action="store_true")
    arguments = parser.parse_args()
    root = data_root(arguments.data)
    mappers = [mapper_by_name(name) for name in arguments.models.split(",")]
    if "ombria" in arguments.only:
        ombria = Ombria(root)
        windows(f"ombria test, {len(ombria)} pairs", ombria, mappers, wide=True)
        if arguments.features:
            features(ombria, mappers)
    if "vhr" in arguments.only:
        vhr = vhr_aligned(root)
        windows(f"vhr-aligned, {len(vhr)} pairs", vhr, mappers)
    if "us" in arguments.only:
        scenes(root, mappers)


def windows(title: str, pairs: PairSource, mappers: Sequence[Mapper], *, wide: bool = False) -> None:
    """Share of windows found within 3 px, and within 2 px in brackets."""
    heads = [*(f"{side} px" for side in WINDOWS_PX), *(["96 px, ±80"] if wide else [])]
    print(f"\n{title}: one window, ±40 px, share within 3 px (2 px)\n")
    print(f"| mapper | {' | '.join(heads)} | s/pair |\n|---{'|---' * (len(heads) + 1)}|")
    for mapper in mappers:
        start = time.perf_counter()
        found = measure(mapper, pairs, MatchabilityConfig(windows_px=WINDOWS_PX, matchers=()))
        seconds = (time.perf_counter() - start) / len(pairs)
        cells = [f"{found.found(side):.2f} ({found.found(side, 2.0):.2f})" for side in WINDOWS_PX]
        if wide:
            far = measure(mapper, pairs, MatchabilityConfig(windows_px=(96,), search_px=80, matchers=()))
            cells.append(f"{far.found(96):.2f} ({far.found(96, 2.0):.2f})")
        print(f"| {mapper.name} | {' | '.join(cells)} | {seconds:.2f} |", flush=True)


def features(pairs: PairSource, mappers: Sequence[Mapper]) -> None:
    """Matchers of key points on aligned pairs."""
    print("\nKey points, aligned pairs: share of corner errors below 40 px, below 3 px\n")
    print("| mapper | SIFT < 40 px | SIFT < 3 px | XFeat < 40 px | XFeat < 3 px |\n|---|---|---|---|---|")
    for mapper in mappers:
        found = measure(mapper, pairs, MatchabilityConfig(windows_px=(96,), matchers=("sift", "xfeat")))
        cells = [f"{found.successes(name, limit):.2f}" for name in ("sift", "xfeat") for limit in (40.0, 3.0)]
        print(f"| {mapper.name} | {' | '.join(cells)} |", flush=True)


def scenes(root: Path, mappers: Sequence[Mapper]) -> None:
    """Windows of whole scenes against the scene's consensus."""
    names = [row["scene"] for row in us_scenes(root, "test")]
    errors: dict[str, list[float]] = {mapper.name: [] for mapper in mappers}
    for name in names:
        optical_path, sar_path = us_paths(root, name)
        sar = Image.from_array(cv2.imread(str(sar_path), cv2.IMREAD_GRAYSCALE) / 255.0)
        optical = Image.from_array(np.moveaxis(cv2.imread(str(optical_path))[..., ::-1], -1, 0) / 255.0)
        shifts = {
            mapper.name: window_shifts_px(
                mapper.map(sar, "sar"),
                mapper.map(optical, "optical"),
                Transform.identity(),
                window_px=SCENE_WINDOW_PX,
                search_px=40,
                per_side=3,
            )
            for mapper in mappers
        }
        consensus = np.median(np.concatenate(list(shifts.values())), axis=0)
        for mapper_name, found in shifts.items():
            errors[mapper_name] += np.linalg.norm(found - consensus, axis=1).tolist()
    print(f"\ns1s2-us test, {len(names)} scenes, nine windows of {SCENE_WINDOW_PX} px each, ±40 px\n")
    print("| mapper | within 2 px of the consensus | within 3 px | within 5 px | median px |\n|---|---|---|---|---|")
    for mapper_name, values in errors.items():
        found = np.array(values)
        shares = " | ".join(f"{np.mean(found <= limit):.2f}" for limit in (2, 3, 5))
        print(f"| {mapper_name} | {shares} | {np.median(found):.2f} |")


if __name__ == "__main__":
    run_script(main)
