"""What else could be picked, on the same pairs: every peer in an environment of its own, which this script makes.

    python benchmarks/peers.py [--data FOLDER] [--n 60] [--warps shift|known-warp|control] [--only NAME,...]

``shift``: the pairs of ``peers_shift.py``. ``known-warp``: the images of the protocol of this name of ``midground
bench``; the SAR image is turned by up to 30 degrees, scaled by 0.9 to 1.1, shifted by up to 64 px, and the largest
square with data is cut out of it, so that no outline tells the warp. As many peers want images of one size, the square
lies in the middle of a frame of 256 × 256 px. ``control``: the optical image and itself, shifted by up to 20 px and
cut, to see that every peer is called rightly. A pair counts as within d px if its average corner error is below d.
Every share is of all pairs; an exception, a crash, a time-out and the tool's own "no success" are failures.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from command import names_of, run_script
from pairs import data_root, ombria_shift, usable_ombria

from midground.bench.config import PROTOCOLS
from midground.core.image import Image
from midground.core.metrics import ace
from midground.core.transforms import Transform
from midground.datasets.base import Pair
from midground.errors import ConfigError
from midground.evaluation.config import WarpConfig
from midground.evaluation.cuts import warped

RUNNER = Path(__file__).with_name("peers") / "run.py"
CACHE = Path(__file__).resolve().parents[1] / "runs" / "peers"
LIMITS_PX = (1, 3, 5)
WARPS = {
    "known-warp": PROTOCOLS["known-warp"],
    "control": WarpConfig(shift_px=20),
}
OPENCV = ("opencv-python-headless==5.0.0.93",)
VISMATCH = ("vismatch==1.4.0",)


class UnavailableError(Exception):
    """A peer cannot be had on this machine."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One row of the table."""

    name: str
    adapter: str
    """File in ``peers``, and after a colon the setting that it takes."""
    pip: tuple[str, ...] = ()
    """Arguments of each ``pip install``, in order; none for what runs in the environment of this script."""
    python: str | None = None
    """Interpreter that the wheels need; that of this script if omitted."""
    extra: str | None = None
    """Extra of midground that it needs, where it runs in the environment of this script."""


PEERS = (
    Peer("midground, translation", "midground_register:translation"),
    Peer("midground, affine", "midground_register:affine"),
    Peer("midground, translation, told the largest shift", "midground_register:translation:told"),
    # Area-based, with midground's own search and fit: what remains is the descriptor.
    Peer("windows of `structure`, CFOG-like", "midground_matcher:template:structure"),
    Peer("windows of HOPC", "midground_matcher:hopc:none"),
    # Midground's RIFT2 and the published XFeat, on the images as they are and in the shared modality.
    Peer("RIFT2", "midground_matcher:rift2:none"),
    Peer("RIFT2 on `structure`", "midground_matcher:rift2:structure"),
    Peer("XFeat", "midground_matcher:xfeat:none", extra="matchers"),
    Peer("XFeat on `structure`", "midground_matcher:xfeat:structure", extra="matchers"),
    Peer("roma-shared on `structure`", "midground_matcher:roma-shared:structure"),
    Peer("pandora2d 1.2.0, mutual information", "pandora2d", ("pandora2d==1.2.0 pandora==1.9.0",)),
    Peer("OpenCV 5.0.0, phase correlation of gradients", "opencv_phase", OPENCV),
    Peer("coregix 0.3.0", "coregix", ("coregix==0.3.0 itk-elastix==0.25.4",)),
    Peer(
        "satalign 0.1.17, phase correlation",
        "satalign",
        ("satalign[pcc]==0.1.17 scikit-image==0.26.0 torchvision==0.29.1",),  # it imports torchvision undeclared
    ),
    Peer("OpenCV 5.0.0, ECC", "opencv_ecc", OPENCV),
    Peer(
        "AROSICS 1.13.2",
        "arosics",
        # The package gdal has no wheels. gdal-wheel has, for Python 3.12 and later, but pip does not take it for gdal.
        (
            "gdal-wheel==3.13.3 cartopy cmocean dill folium geojson geopandas joblib matplotlib numpy packaging pandas "
            "plotly pyproj scikit-image scipy shapely spectral",
            "--no-deps arosics==1.13.2 geoarray==0.19.2 py_tools_ds==0.24.1",
        ),
        python="python3.12",
    ),
    Peer("GEFolki 1.1.0, one line repaired", "gefolki", ("gefolki==1.1.0 scikit-image==0.26.0",)),
    Peer("OpenCV 5.0.0, SIFT", "opencv_sift", OPENCV),
    Peer("vismatch 1.4.0, sift-nn", "vismatch:sift-nn", VISMATCH),
    Peer("vismatch 1.4.0, orb-nn", "vismatch:orb-nn", VISMATCH),
    Peer("vismatch 1.4.0, minima-roma", "vismatch:minima-roma", VISMATCH),
)


def protocol_pairs(warps: str, root: Path, n: int) -> Iterator[tuple[str, np.ndarray, Image, Transform]]:
    """Pairs as (name, optical, moving image, true transform fixed from moving)."""
    if warps == "shift":
        for pair in ombria_shift(root, n=n):
            moving = Image.from_array(pair.moving.astype(np.float32))
            yield pair.name, pair.fixed, moving, Transform.translation(*pair.shift_px)
        return
    usable = list(usable_ombria(root, "test"))
    for index in range(n):
        name, sar, optical = usable[index * len(usable) // n]
        grey = optical.mean(axis=0) if warps == "control" else sar
        images = (Image.from_array(image.astype(np.float32)) for image in (grey, optical))
        moving, fixed, truth = warped(Pair(name, name, *images), WARPS[warps], index)
        yield name, fixed.channels.astype(np.uint8), moving, truth


def framed(moving: Image, hw: tuple[int, int]) -> tuple[Image, Transform]:
    """The image in the middle of a frame without data, and the transform that takes its pixels there."""
    top, left = ((side - own) // 2 for side, own in zip(hw, moving.hw, strict=True))
    return moving.crop_padded(-top, -left, *hw), Transform.translation(left, top)


def write_pair(folder: Path, name: str, optical: np.ndarray, moving: Image) -> None:
    """The pair for the adapters, which do not see the truth: arrays, and GeoTIFFs on one grid."""
    sar = np.rint(moving.channels[0]).astype(np.uint8)
    np.savez(folder / f"{name}.npz", moving=sar, valid=moving.valid, fixed=optical)
    grid = {"crs": "EPSG:32633", "transform": Affine(10, 0, 500_000, 0, -10, 5_000_000)}
    grey = optical.mean(axis=0).astype(np.uint8)
    for role, image, nodata in (("moving", sar, None if moving.valid.all() else 0), ("fixed", grey, None)):
        height, width = image.shape
        with rasterio.open(
            folder / f"{name}-{role}.tif", "w", "GTiff", width, height, 1, dtype="uint8", nodata=nodata, **grid
        ) as file:
            file.write(image, 1)


def environment(peer: Peer) -> str:
    """The peer's interpreter; its environment is made first if it is not there yet.

    Raises:
        UnavailableError: An interpreter, a wheel or the weights are missing, or the package does not import.
    """
    python = sys.executable
    if peer.pip:
        folder = CACHE / "environments" / re.split("[_:]", peer.adapter)[0]
        python = str(folder / "bin" / "python")
        is_complete = folder / "installed.json"
        if not is_complete.exists() or json.loads(is_complete.read_text(encoding="utf-8")) != list(peer.pip):
            shutil.rmtree(folder, ignore_errors=True)
            base = sys.executable if peer.python is None else shutil.which(peer.python) or peer.python
            call("cannot be installed here", base, "-m", "venv", str(folder))
            for arguments in peer.pip:
                pip = (python, "-m", "pip", "install", "--quiet", "--prefer-binary")
                call("cannot be installed here", *pip, *arguments.split())
            is_complete.write_text(json.dumps(peer.pip), encoding="utf-8")
    call("is installed, but does not start here", python, "-P", str(RUNNER), peer.adapter)
    return python


def call(failure: str, *command: str) -> None:
    """Run a command; if it fails, its last line about an error is the reason."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(f"{failure}: {error}") from error
    if done.returncode:
        errors = [line.strip() for line in done.stderr.splitlines() if "rror" in line]
        raise UnavailableError(f"{failure}: {errors[-1] if errors else f'ended with {done.returncode}'}")


def run_peer(python: str, peer: Peer, folder: Path, names: list[str]) -> list[dict]:
    """Results of all pairs. A pair that ends the process has failed, and the next process goes on behind it."""
    out = folder / f"{peer.adapter.replace(':', '-')}.jsonl"
    out.unlink(missing_ok=True)
    while True:
        done = subprocess.run(
            [python, "-P", str(RUNNER), peer.adapter, str(folder), str(out)], capture_output=True, check=False
        )
        lines = out.read_text(encoding="utf-8").splitlines()
        if len(lines) == len(names):
            return [json.loads(line) for line in lines]
        ended = "time-out" if done.returncode == -signal.SIGALRM else f"the process ended with {done.returncode}"
        failure = {"name": names[len(lines)], "fixed_from_moving": None, "error": ended}
        with out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(failure) + "\n")


def error_px(result: dict, truth: Transform, frame_from_moving: Transform, hw: tuple[int, int]) -> float:
    """Average error of the corners of what was put into the frame; infinite for a failure."""
    if result["fixed_from_moving"] is None:
        return float("inf")
    try:
        return ace(Transform(np.array(result["fixed_from_moving"])) @ frame_from_moving, truth, hw)
    except ConfigError:
        return float("inf")


def row(peer: Peer, results: list[dict], errors: np.ndarray) -> str:
    """One line of the table."""
    shares = " | ".join(f"{np.mean(errors < limit):.0%}" for limit in LIMITS_PX)
    n_failed = int(np.isinf(errors).sum())
    median = np.median(errors)
    seconds = np.median([result["seconds"] for result in results if "seconds" in result] or [np.nan])
    peak_mb = max((result["peak_mb"] for result in results if "peak_mb" in result), default=np.nan)
    here = "this environment" if peer.extra is None else f"this environment, extra `{peer.extra}`"
    installed = "<br>".join(f"`pip install {line}`" for line in peer.pip) or here
    return (
        f"| {peer.name} | {shares} | {'none' if np.isinf(median) else f'{median:.2f}'} | {n_failed} of {len(errors)} | "
        f"{seconds:.2f} | {peak_mb:.0f} | {installed} |"
    )


def main() -> None:
    """Write the pairs, and print a row for every peer as soon as it is done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--n", type=int, default=60)
    parser.add_argument("--warps", choices=("shift", *WARPS), default="shift")
    adapters = [peer.adapter for peer in PEERS]
    parser.add_argument(
        "--only",
        type=names_of("adapter", adapters),
        default=",".join(adapters),
        help="such as coregix,midground_register:affine; all if omitted",
    )
    parser.add_argument("--timeout", type=int, default=300, help="longest time for a pair, s")
    arguments = parser.parse_args()
    pairs = list(protocol_pairs(arguments.warps, data_root(arguments.data), arguments.n))
    folder = CACHE / f"{arguments.warps}-{arguments.n}"
    folder.mkdir(parents=True, exist_ok=True)
    truths = {}
    for name, optical, moving, truth in pairs:
        in_frame, frame_from_moving = framed(moving, optical.shape[1:])
        write_pair(folder, name, optical, in_frame)
        truths[name] = (truth, frame_from_moving, moving.hw)
    protocol = {
        "names": list(truths),
        "kind": "affine" if arguments.warps == "known-warp" else "translation",
        "max_shift_px": 64 if arguments.warps == "known-warp" else 20,
        "timeout_s": arguments.timeout,
    }
    (folder / "protocol.json").write_text(json.dumps(protocol), encoding="utf-8")
    print("| peer | " + " | ".join(f"<{limit} px" for limit in LIMITS_PX), end="")
    print(
        " | median px | failed | s/pair | peak MB | installed by |\n" + "|---" * (len(LIMITS_PX) + 6) + "|", flush=True
    )
    for peer in PEERS:
        if peer.adapter not in arguments.only:
            continue
        try:
            results = run_peer(environment(peer), peer, folder, protocol["names"])
        except UnavailableError as error:
            print(f"| {peer.name} |" + " – |" * (len(LIMITS_PX) + 4) + f" {error} |", flush=True)
            continue
        errors = np.array([error_px(result, *truths[result["name"]]) for result in results])
        print(row(peer, results, errors), flush=True)


if __name__ == "__main__":
    run_script(main)
