"""From a checkpoint to a bundle that says what it is and what it reaches."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from midground.core.progress import Progress, silent
from midground.datasets.base import PairSource
from midground.errors import ModelError
from midground.evaluation.config import MatchabilityConfig
from midground.evaluation.matchability import Matchability, measure, require_windows
from midground.modality.base import MODALITIES
from midground.modality.bundle import require_free, write_bundle
from midground.modality.card import GRAPH_FILES, Card, Measurement, Training
from midground.modality.learned import LearnedMapper
from midground.training.checkpoint import Checkpoint, load_checkpoint
from midground.training.convert import Conversion, derived_facts, export_bundle

_SCORE = "matchability on the validation pairs of the training, 0 to 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportConfig:
    """What of a checkpoint is exported, and how."""

    pairs_name: str = ""
    """What the card calls the pairs that the bundle is measured on."""
    measured: MatchabilityConfig = field(default_factory=MatchabilityConfig)
    """What is measured."""
    overwrite: bool = False
    """Whether a bundle that exists is replaced."""


def export_checkpoint(
    path: Path,
    folder: Path,
    config: ExportConfig = ExportConfig(),
    *,
    pairs: PairSource | None = None,
    progress: Progress = silent,
) -> tuple[Conversion, Matchability | None]:
    """Write a checkpoint as a bundle, measured on pairs if there are any.

    Args:
        path: A checkpoint of ``midground train``, or the folder of a run, whose best is taken.
        folder: The bundle; its name becomes the model's.
        config: What is exported, and how.
        pairs: Unit-scaled pairs on which the bundle is measured; what is found becomes part of its card.
        progress: Told after every pair.

    Raises:
        InputError: There is no pair, or windows do not fit into one.
        ModelError: The checkpoint cannot be read, or the bundle differs from torch.
        OutputError: The bundle cannot be written.
    """
    checkpoint = load_checkpoint(path)
    require_free(folder, overwrite=config.overwrite)
    card = _card(checkpoint, folder.name)
    if pairs is None:
        return export_bundle(checkpoint.networks, card, folder, overwrite=config.overwrite), None
    require_windows(pairs, config.measured)
    with tempfile.TemporaryDirectory() as scratch:
        draft = export_bundle(checkpoint.networks, card, Path(scratch) / folder.name)
        found = measure(LearnedMapper(draft.bundle), pairs, config.measured, progress=progress)
        card = draft.bundle.card
        card = replace(card, results=(*card.results, *_results(found, config.pairs_name)))
        graphs = {modality: draft.bundle.read(modality) for modality in MODALITIES}
    return replace(draft, bundle=write_bundle(folder, card, graphs, overwrite=config.overwrite)), found


def _results(found: Matchability, pairs_name: str) -> Sequence[Measurement]:
    pairs = f"{pairs_name}, {found.n_pairs} pairs".removeprefix(", ")
    config = found.config
    n_windows = config.windows_per_side**2
    windows = "one central window" if n_windows == 1 else f"{n_windows} windows a pair"
    window = f"{pairs}, {windows} searched within {config.search_px} px, found within {config.success_px:g} px"
    points = f"{pairs}, a homography of the matches of up to {config.max_keypoints} key points of the whole images"
    window += "" if config.window_warp.is_identity else ", under known warps"
    points += "" if config.feature_warp.is_identity else ", under known warps"
    return [
        Measurement(what=f"{name}, share", on=window if name.startswith("window ") else points, value=round(value, 4))
        for name, value in found.numbers().items()
    ]


def _card(checkpoint: Checkpoint, name: str) -> Card:
    known = checkpoint.card
    results: tuple[Measurement, ...] = ()
    if checkpoint.score is not None:
        results = (Measurement(what=_SCORE, on="pairs held out by place", value=round(checkpoint.score, 4)),)
    widths = {modality: network.out_channels for modality, network in checkpoint.networks.items()}
    if len(set(widths.values())) != 1:
        raise ModelError(f"{checkpoint.path}: the two networks give different numbers of channels: {widths}.")
    return Card(
        name=name,
        version=known.version,
        description=known.description,
        inputs=checkpoint.inputs,
        sensors={"sar": known.sar_sensor, "optical": known.optical_sensor},
        n_channels=widths["sar"],
        gsd_m=known.gsd_m,
        training=Training(data=checkpoint.data, recipe=checkpoint.recipe),
        results=results,
        licence=known.licence,
        imagery_notice=known.imagery_notice,
        sources=known.sources,
        files=dict.fromkeys((GRAPH_FILES[modality] for modality in MODALITIES), "0" * 64),
        **derived_facts(checkpoint.networks),
    )
