"""The three criteria on equal budgets: the same network, data, augmentation and optimiser, one run after the other.

    python benchmarks/criteria.py --data FOLDER [--minutes 3,12] [--criteria correlation,grayscale,reconstruction]
    python benchmarks/criteria.py --data FOLDER --train s1s2-us --steps 400 --criteria correlation,correlation-realigned

FOLDER holds ``data`` as for the other benchmarks. Trains on ``ombria`` train or on ``s1s2-us``, without what
configs/sar1-rgb.yaml holds out, for so many minutes of wall time each (start included), or for so many steps, with a
constant learning rate: 2e-3, or the paper's 2e-4 where the name ends in ``-2e-4``. Measures the last weights on the
usable ``ombria`` test pairs and on ``vhr-aligned``: share of central windows found within 3 px (2 px in brackets), ±40
px, 96 px also within ±80 px, and RMSE and SSIM of the mapped images. The untrained network is the first row. Needs the
extra ``train``.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from pathlib import Path

from command import names_of, run_script
from matchability import WINDOWS_PX
from pairs import CONFIGS, Ombria, data_root, training_data, vhr_aligned
from torch import nn

from midground.cli.config_file import resolve_config
from midground.datasets.base import PairSource
from midground.evaluation.config import MatchabilityConfig
from midground.evaluation.matchability import measure
from midground.modality.base import Mapper
from midground.training.build import build_networks
from midground.training.checkpoint import load_checkpoint
from midground.training.config import TrainConfig
from midground.training.run import train
from midground.training.running import LAST, RunOptions
from midground.training.torch_mapper import TorchMapper

CORRELATION = "criterion={name: correlation, window_px: [40, 80], search_px: 24, frame_shift_px: 32, n_windows: 8}"
NEVER = "realign={every_epochs: 0}"
PAPER_RATE = "optimizer.learning_rate=2e-4"
CRITERIA = {
    "correlation": (CORRELATION, NEVER),
    "correlation-realigned": (CORRELATION, "realign={every_epochs: 1000, from_epoch: 2}"),
    "grayscale": ("criterion={name: grayscale}", NEVER),
    "grayscale-detached": ("criterion={name: grayscale, detach_sar: true}", NEVER),
    "grayscale-2e-4": ("criterion={name: grayscale}", NEVER, PAPER_RATE),
    "reconstruction": ("criterion={name: reconstruction}", NEVER),
    "reconstruction-2e-4": ("criterion={name: reconstruction}", NEVER, PAPER_RATE),
}
EPOCH_STEPS, CROP_PX = 50, 160
MEASURED = MatchabilityConfig(windows_px=WINDOWS_PX, matchers=(), similarity=True)
FAR = MatchabilityConfig(windows_px=(96,), search_px=80, matchers=())


def settings(root: Path, criterion: str, *, collection: str = "ombria", n_steps: int | None = None) -> TrainConfig:
    """The shipped model's settings with another criterion, on one collection."""
    return resolve_config(
        TrainConfig,
        file=CONFIGS / "sar1-rgb.yaml",
        settings=[
            *CRITERIA[criterion],
            *training_data(root, collection),
            "n_channels=8",
            "network.n_context=0",
            f"data.crop_px={CROP_PX}",
            "optimizer.schedule=constant",
            "precision=32-true",
            f"steps_per_epoch={EPOCH_STEPS}",
            f"epochs={10000 if n_steps is None else math.ceil(n_steps / EPOCH_STEPS)}",
            "validate_every_epochs=10000",
        ],
    )


def main() -> None:
    """Train and print one row for each criterion and budget."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--train", default="ombria", choices=("ombria", "s1s2-us"))
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--minutes", default="3,12")
    budget.add_argument("--steps", help=f"multiples of {EPOCH_STEPS}, in place of minutes")
    parser.add_argument(
        "--criteria",
        type=names_of("criterion", CRITERIA),
        default="correlation,grayscale,grayscale-detached,reconstruction",
    )
    arguments = parser.parse_args()
    root = data_root(arguments.data)
    collections: dict[str, PairSource] = {
        "ombria test": Ombria(root),
        "vhr-aligned": vhr_aligned(root),
    }
    heads = " | ".join([*(f"{side} px" for side in WINDOWS_PX), "96 px, ±80"])
    print(f"| data | criterion | minutes | steps | {heads} | RMSE | SSIM |\n|---{'|---' * (len(WINDOWS_PX) + 6)}|")
    untrained = TorchMapper(build_networks(settings(root, "correlation"), {"sar": 1, "optical": 3}), {})
    for name, pairs in collections.items():
        print(row(name, "untrained", 0, 0, untrained, pairs), flush=True)
    for budget_text in (arguments.steps or arguments.minutes).split(","):
        n_steps = int(budget_text) if arguments.steps else None
        limit = None if arguments.steps else float(budget_text)
        for criterion in arguments.criteria:
            config = settings(root, criterion, collection=arguments.train, n_steps=n_steps)
            start = time.monotonic()
            with tempfile.TemporaryDirectory() as folder:
                options = RunOptions(max_minutes=limit, tell_every_s=1e9)
                done = train(config, Path(folder) / "run", options)
                known = load_checkpoint(Path(folder) / "run" / LAST)
            minutes = (time.monotonic() - start) / 60
            mapper = TorchMapper(nn.ModuleDict(dict(known.networks)), {})
            for name, pairs in collections.items():
                print(row(name, criterion, minutes, done.n_steps, mapper, pairs), flush=True)


def row(data: str, criterion: str, minutes: float, n_steps: int, mapper: Mapper, pairs: PairSource) -> str:
    """One line of the table."""
    found, far = measure(mapper, pairs, MEASURED), measure(mapper, pairs, FAR)
    measured = [*((found, side) for side in WINDOWS_PX), (far, *FAR.windows_px)]
    shares = " | ".join(f"{one.found(side):.2f} ({one.found(side, 2.0):.2f})" for one, side in measured)
    rmse, ssim = (found.similarity[name].value or 0.0 for name in ("RMSE", "SSIM"))
    return f"| {data} | {criterion} | {minutes:.1f} | {n_steps} | {shares} | {rmse:.3f} | {ssim:.2f} |"


if __name__ == "__main__":
    run_script(main)
