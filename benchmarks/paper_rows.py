"""The trained transformations of the paper's table 2 on ``ombria``, for ``midground reproduce``.

    python benchmarks/paper_rows.py --data FOLDER --out FOLDER [--minutes 8] [--rows pix2pix,lsgan] [--set K=V]
    midground reproduce --data benchmarks/ombria-test.yaml --out FOLDER --model pix2pix=FOLDER/pix2pix \
        --model lsgan=FOLDER/lsgan --model ours-1=FOLDER/ours-1 --model ours-2=FOLDER/ours-2

FOLDER of ``--data`` holds ``data`` as for the other benchmarks. Each trains for the same time. Networks, criteria and
augmentation are those of the presets in ``configs``; data, bands, steps, and the warm-up, which would outlast the time,
are not. ``--set`` may change more, as to a network that the hardware at hand can train. The last weights are exported,
as in the paper's public code. Needs the extra ``train``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from command import names_of, run_script
from pairs import CONFIGS, data_root, training_data

from midground.cli.config_file import resolve_config
from midground.training.config import TrainConfig
from midground.training.run import train
from midground.training.running import LAST, RunOptions
from midground.training.ship import export_checkpoint

PRESETS = {"pix2pix": "pix2pix", "lsgan": "lsgan", "ours-1": "paper-ours-1", "ours-2": "paper-ours-2"}
FEWER = ("steps_per_epoch=50", "epochs=10000", "validate_every_epochs=10000")
WARM_UP = ("optimizer.warmup_epochs=1",)
"""The translators have none."""


def settings(root: Path, row: str, changed: Sequence[str]) -> TrainConfig:
    """A preset on ``ombria`` train, without the validation places of configs/sar1-rgb.yaml."""
    card = ("card.sar_bands=[VV]", "card.optical_bands=[B04, B03, B02]")
    warm_up = WARM_UP if row.startswith("ours") else ()
    return resolve_config(
        TrainConfig,
        file=CONFIGS / f"{PRESETS[row]}.yaml",
        settings=[*training_data(root), *card, *FEWER, *warm_up, *changed],
    )


def main() -> None:
    """Train and export one row after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--rows", type=names_of("row", PRESETS), default=",".join(PRESETS))
    parser.add_argument("--set", action="append", default=[], dest="changed")
    arguments = parser.parse_args()
    root = data_root(arguments.data)
    configs = {row: settings(root, row, arguments.changed) for row in arguments.rows}
    for row, config in configs.items():
        folder = arguments.out / "runs" / row
        done = train(config, folder, RunOptions(max_minutes=arguments.minutes, tell_every_s=1e9))
        print(f"{row}: {done.n_steps} steps in {arguments.minutes:g} minutes", flush=True)
        export_checkpoint(folder / LAST, arguments.out / row)


if __name__ == "__main__":
    run_script(main)
