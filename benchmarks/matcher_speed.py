"""Seconds of each matcher for one pair of 512 × 512 px; and RIFT2 on a real image that is turned in steps of 15°.

    python benchmarks/matcher_speed.py [--data FOLDER] [--matchers sift,rift2,template,roma-shared] [--runs 5]

The pair is a window of a test scene of ``s1s2-us``, mapped by ``structure`` for ``roma-shared`` and taken as grey for
the others; mapping is not counted. RIFT2 is also timed for the description of one image with 4096 key points. A match
counts as right within 3 px.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import cv2
import numpy as np
from command import run_script
from pairs import data_root, us_paths, us_scenes

from midground.core.image import Image
from midground.core.transforms import Transform
from midground.matching.configs import Rift2Config
from midground.matching.registry import build_matcher
from midground.matching.rift2 import Rift2Matcher
from midground.modality.mappers import build_mapper
from midground.registration.pair import warp_image

SIDE_PX = 512


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--matchers", default="sift,rift2,template,roma-shared")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    root = data_root(arguments.data)
    optical_path, sar_path = us_paths(root, us_scenes(root, "test")[0]["scene"])
    optical, sar = (middle(cv2.imread(str(path))) for path in (optical_path, sar_path))
    print("| matcher | matches | seconds, median (least to most) |\n|---|---|---|")
    for name in arguments.matchers.split(","):
        matcher = build_matcher(name)
        mapper = build_mapper("structure" if name == "roma-shared" else "none")
        mapped = mapper.map(sar, "sar"), mapper.map(optical, "optical")
        n_matches, seconds = timed(lambda: len(matcher.match(*mapped)), arguments.runs)  # noqa: B023
        print(f"| {name} | {n_matches} | {seconds} |", flush=True)
    rift2 = Rift2Matcher(Rift2Config())
    grey = build_mapper("none").map(optical, "optical")
    n_described, seconds = timed(lambda: len(rift2.describe(grey).xy), arguments.runs)
    print(f"| rift2, one image | {n_described} descriptors | {seconds} |")
    print("\n| RIFT2, turned by | matches | right |\n|---|---|---|")
    for rotation_deg in range(0, 181, 15):
        turned = about_middle(rotation_deg)
        matches = rift2.match(grey, warp_image(grey, turned, grey.hw))
        right = np.linalg.norm(turned(matches.moving_xy) - matches.fixed_xy, axis=1) < 3
        print(f"| {rotation_deg}° | {len(matches)} | {right.mean():.2f} |", flush=True)


def middle(bgr: np.ndarray) -> Image:
    """A window from the middle of a picture, as grey."""
    top, left = ((length - SIDE_PX) // 2 for length in bgr.shape[:2])
    return Image.from_array(bgr[top : top + SIDE_PX, left : left + SIDE_PX].mean(axis=2) / 255)


def timed(work: Callable[[], int], runs: int) -> tuple[int, str]:
    """What some work gives, and how long it takes once it is warm."""
    result, seconds = work(), []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return result, f"{np.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"


def about_middle(rotation_deg: float) -> Transform:
    """A turn about the middle of the window."""
    centre = (SIDE_PX - 1) / 2
    turn = Transform.similarity(rotation_deg=rotation_deg, dx=centre, dy=centre)
    return turn @ Transform.translation(-centre, -centre)


if __name__ == "__main__":
    run_script(main)
