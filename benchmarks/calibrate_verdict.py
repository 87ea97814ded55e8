"""Fit the verdict's trust: how often a transform with given evidence was right, on training pairs.

    python benchmarks/calibrate_verdict.py [--data FOLDER] [--n 120] [--model default|none] [--out evidence.json]

Crops of several sizes from the training splits of ``ombria`` and ``s1s2-us`` are registered twice: onto the optical
image of the same place, shifted by a known amount, and onto that of another place. A transform is right if the pair
shows one place and its corner error is at most ``RIGHT_PX`` (``s1s2-us`` scenes are themselves off by up to 7 px).
Prints the coefficients of the logistic model in registration/evidence.py, and how trust relates to what was right.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from command import run_script
from pairs import data_root, us_paths, us_scenes, usable_ombria

import midground as mg
from midground.core.transforms import Transform, corner_error
from midground.registration.evidence import FEATURES, features

RIGHT_PX = {"ombria": 5.0, "us": 12.0}
SIZES = {"ombria": (160, 192, 224), "us": (256, 384, 512, 896)}
MAX_SHIFT_PX = {"ombria": 16, "us": 40}


def main() -> None:
    """Collect evidence, fit, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--n", type=int, default=120, help="crops per data set")
    parser.add_argument("--model", default="default")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows = list(_collect(data_root(arguments.data), arguments.n, arguments.model))
    if arguments.out:
        arguments.out.write_text(json.dumps(rows))
    x = np.array([row["features"] for row in rows])
    right = np.array([row["right"] for row in rows])
    weights = _logistic(x, right)
    for name, weight in zip((*FEATURES, "constant"), weights, strict=True):
        print(f"{name:12s} {weight:+.3f}")
    trust = 1 / (1 + np.exp(-(np.c_[x, np.ones(len(x))] @ weights)))
    for low, high in ((0, 0.05), (0.05, 0.3), (0.3, 0.7), (0.7, 0.95), (0.95, 1.01)):
        chosen = (trust >= low) & (trust < high)
        share = right[chosen].mean() if chosen.any() else float("nan")
        print(f"trust {low:.2f} to {high:.2f}: {chosen.sum():4d} transforms, {share:.3f} right")


def _collect(root: Path, n: int, model: str) -> Iterator[dict[str, object]]:
    rng = np.random.default_rng(5)
    for name, load in (("ombria", _ombria(root, rng, n)), ("us", _us(root, rng, n))):
        previous: np.ndarray | None = None
        for sar, optical in load:
            size = int(rng.choice([side for side in SIZES[name] if side + 2 * MAX_SHIFT_PX[name] <= sar.shape[0]]))
            dx, dy = (int(value) for value in rng.integers(-MAX_SHIFT_PX[name], MAX_SHIFT_PX[name] + 1, 2))
            top, left = (
                int(value)
                for value in rng.integers(MAX_SHIFT_PX[name], sar.shape[0] - size - MAX_SHIFT_PX[name] + 1, 2)
            )
            moving = sar[top + dy : top + dy + size, left + dx : left + dx + size]
            for is_true, source in ((True, optical), (False, previous)):
                if source is None:
                    continue
                fixed = source[:, top : top + size, left : left + size]
                truth = Transform.translation(dx, dy) if is_true else None
                row = _evidence(fixed, moving, truth, name, model)
                if row is not None:
                    yield row
            previous = optical


def _evidence(
    fixed: np.ndarray, moving: np.ndarray, truth: Transform | None, name: str, model: str
) -> dict[str, object] | None:
    result = mg.register(fixed, moving, model=None if model == "none" else model)
    if result.evidence is None or result.fixed_from_moving is None:
        return None
    found = Transform(result.fixed_from_moving)
    error = float("inf") if truth is None else corner_error(found, truth, moving.shape)
    return {
        "set": name,
        "size": moving.shape[0],
        "is_true": truth is not None,
        "right": error <= RIGHT_PX[name],
        "error_px": error,
        "verdict": result.verdict,
        "features": list(features(result.evidence.search)),
        "expected_error_px": result.expected_error_px,
        "witness_px": result.evidence.witness_px,
        "witness_trust": result.evidence.witness_trust,
    }


def _ombria(root: Path, rng: np.random.Generator, n: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    pairs = list(usable_ombria(root, "train"))
    for index in rng.permutation(len(pairs))[:n]:
        yield pairs[index][1], pairs[index][2]


def _us(root: Path, rng: np.random.Generator, n: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    scenes = us_scenes(root, "train")
    for index in rng.choice(len(scenes), n):
        optical, sar = us_paths(root, scenes[index]["scene"])
        yield cv2.imread(str(sar), cv2.IMREAD_GRAYSCALE), np.moveaxis(cv2.imread(str(optical))[..., ::-1], -1, 0)


def _logistic(x: np.ndarray, y: np.ndarray, *, ridge: float = 0.3) -> np.ndarray:
    """Newton's method with a ridge on the standardised weights."""
    mean, spread = x.mean(axis=0), x.std(axis=0)
    design = np.c_[(x - mean) / spread, np.ones(len(x))]
    penalty = np.diag([ridge] * x.shape[1] + [0.0])
    weights = np.zeros(design.shape[1])
    for _ in range(100):
        probability = 1 / (1 + np.exp(-design @ weights))
        hessian = design.T @ (design * (probability * (1 - probability))[:, None]) + penalty
        weights += np.linalg.solve(hessian, design.T @ (y - probability) - penalty @ weights)
    scaled = weights[:-1] / spread
    return np.append(scaled, weights[-1] - (scaled * mean).sum())


if __name__ == "__main__":
    run_script(main)
