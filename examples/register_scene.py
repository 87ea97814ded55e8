"""Simulate two images that do not line up, register them, and say how far the result is from the truth.

    python examples/register_scene.py [--out-dir FOLDER] [--size 1024] [--seed 7]

Leaves the two images and the truth in the folder, and in its folder ``result`` what the registration found, the report,
and before_after.png: a checkerboard of optical and SAR squares, on the left where the SAR file's georeference puts
them, on the right where the result does.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

import midground as mg
from midground.core.image import Image
from midground.core.transforms import Transform, corner_error
from midground.report.figures import checkerboard, display_stretch, to_preview, write_picture

CROP_PX = 400
N_TILES = 5
GAP_PX = 16
SMOOTH_PX = 1.5
TONES = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out-dir", type=Path, default=Path("demo"))
    parser.add_argument("--size", type=int, default=1024, help="side of both images, px")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()

    pair = mg.simulate_scene_pair(arguments.out_dir, seed=arguments.seed, size_px=arguments.size)
    result = mg.register(pair.optical, pair.sar)
    print(f"{result.verdict}: {result.reasons[0]}")
    folder = arguments.out_dir / "result"
    written = result.save(folder)
    mg.write_report(result, folder / "report.html")
    if result.correction is None or result.shift_m is None:
        raise SystemExit("No transform was found.")

    found = Transform(result.correction.fixed_from_moving, result.correction.kind)
    error_px = corner_error(found, pair.fixed_from_moving, result.inputs.moving.hw)
    print(f"shift found {told(result.shift_m)}, true {told(pair.shift_m)}")
    print(f"expected error {result.expected_error_px:.2f} px, true error {error_px:.2f} px")
    write_picture(folder / "before_after.png", before_after(result))
    print(
        "written: " + ", ".join(str(path) for path in (*written, folder / "report.html", folder / "before_after.png"))
    )


def told(shift_m: tuple[float, float]) -> str:
    return f"{shift_m[0]:+.1f} m east, {shift_m[1]:+.1f} m north"


def before_after(result: mg.Registration) -> np.ndarray:
    """Two checkerboards of the scene's middle, side by side, as red, green, blue."""
    previews = result.previews
    if previews is None or previews.moving_after is None:
        raise SystemExit("There is no transform to show.")
    optical = middle(previews.fixed)
    panels = [
        checkerboard(optical, middle(calmed(moving)), n_tiles=N_TILES)
        for moving in (previews.moving_before, previews.moving_after)
    ]
    gap = np.full((panels[0].shape[0], GAP_PX, 3), 255, np.uint8)
    picture = np.concatenate([panels[0], gap, panels[1]], axis=1)
    # Fewer tones make a small file, and nothing that matters here is that faint.
    step = 256 // TONES
    return picture // step * step + step // 2


def middle(image: Image) -> np.ndarray:
    """The middle of an image as red, green, blue."""
    side = min(CROP_PX, *image.hw)
    top, left = ((length - side) // 2 for length in image.hw)
    return to_preview(image.crop(top, left, side, side), stretch=display_stretch(image))[..., :3]


def calmed(image: Image) -> Image:
    """The image with less speckle, for the eye only."""
    channels = np.stack([cv2.GaussianBlur(channel, (0, 0), SMOOTH_PX) for channel in image.channels])
    return Image(channels, image.valid)


if __name__ == "__main__":
    main()
