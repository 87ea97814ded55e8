"""The three criteria on equal budgets: the same network, data, augmentation and optimiser, one run after the other.

    python benchmarks/criteria.py --data FOLDER [--minutes 3,10] [--criteria correlation,grayscale,reconstruction]

FOLDER holds ``data`` as for the other benchmarks. Trains on ``ombria`` train without the validation places of
configs/sar1-rgb.yaml, for so many minutes of wall time each (validation and start included), with a constant learning
rate, and measures the last weights on the usable ``ombria`` test pairs and on ``vhr-aligned``: share of central windows
found within 3 px, ±40 px, and RMSE and SSIM of the mapped images. The untrained network is the first row. Needs the
extra ``train``.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from matchability import WINDOWS_PX, Ombria
from pairs import data_root
from torch import nn

from midground.cli.config_file import resolve_config
from midground.datasets.base import PairSource
from midground.datasets.catalogue import PairsConfig, open_pairs
from midground.evaluation.config import MatchabilityConfig
from midground.evaluation.matchability import Matchability, measure
from midground.training.build import build_networks
from midground.training.checkpoint import LAST, load_checkpoint
from midground.training.config import TrainConfig
from midground.training.run import RunOptions, train
from midground.training.torch_mapper import TorchMapper

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
CRITERIA = {
    "correlation": "criterion={name: correlation, window_px: [40, 96], search_px: 32, n_windows: 10}",
    "grayscale": "criterion={name: grayscale}",
    "grayscale-detached": "criterion={name: grayscale, detach_sar: true}",
    "reconstruction": "criterion={name: reconstruction}",
}
MEASURED = MatchabilityConfig(windows_px=WINDOWS_PX, matchers=(), similarity=True)


def settings(root: Path, criterion: str) -> TrainConfig:
    """The shipped model's settings with another criterion, on one collection."""
    ombria, lists = root / "ombria" / "train", CONFIGS / "sar1-rgb"
    pairs = f"path: {ombria}, bands_sar: [1], place_pattern: '(\\d+)_', in_memory: true"
    return resolve_config(
        TrainConfig,
        file=CONFIGS / "sar1-rgb.yaml",
        settings=[
            CRITERIA[criterion],
            "n_channels=8",
            f"data.train=[{{pairs: {{{pairs}, exclude: {lists / 'ombria-left-out.txt'}}}}}]",
            f"data.validation={{{pairs}, include: {lists / 'ombria-validation.txt'}}}",
            "optimizer.schedule=constant",
            "realign={every_epochs: 0}",
            "epochs=10000",
            "validate_every_epochs=10000",
        ],
    )


def main() -> None:
    """Train and print one row for each criterion and budget."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--minutes", default="3,10")
    parser.add_argument("--criteria", default=",".join(CRITERIA))
    arguments = parser.parse_args()
    root = data_root(arguments.data)
    collections: dict[str, PairSource] = {
        "ombria test": Ombria(root),
        "vhr-aligned": open_pairs(PairsConfig(path=root / "vhr-aligned", bands_sar=(1,))),
    }
    heads = " | ".join(f"{side} px" for side in WINDOWS_PX)
    print(f"| data | criterion | minutes | steps | {heads} | RMSE | SSIM |\n|---{'|---' * (len(WINDOWS_PX) + 5)}|")
    untrained = TorchMapper(build_networks(settings(root, "correlation"), {"sar": 1, "optical": 3}), {})
    for name, pairs in collections.items():
        print(row(name, "untrained", 0, 0, measure(untrained, pairs, MEASURED)), flush=True)
    for minutes in map(float, arguments.minutes.split(",")):
        for criterion in arguments.criteria.split(","):
            with tempfile.TemporaryDirectory() as folder:
                config = settings(root, criterion.strip())
                options = RunOptions(max_minutes=minutes, accelerator="cpu", tell_every_s=1e9)
                done = train(config, Path(folder) / "run", options)
                known = load_checkpoint(Path(folder) / "run" / LAST)
            mapper = TorchMapper(nn.ModuleDict(dict(known.networks)), {})
            for name, pairs in collections.items():
                print(row(name, criterion, minutes, done.n_steps, measure(mapper, pairs, MEASURED)), flush=True)


def row(data: str, criterion: str, minutes: float, n_steps: int, found: Matchability) -> str:
    """One line of the table."""
    shares = " | ".join(f"{found.found(side):.2f}" for side in WINDOWS_PX)
    rmse, ssim = (found.similarity[name].value or 0.0 for name in ("RMSE", "SSIM"))
    return f"| {data} | {criterion} | {minutes:g} | {n_steps} | {shares} | {rmse:.3f} | {ssim:.2f} |"


if __name__ == "__main__":
    main()
