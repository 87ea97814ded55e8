"""A matcher's training from its settings to the exported matcher, and on after an interruption."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import lightning
import numpy as np
from jaxtyping import Float64

from midground.core.metrics import success_rate
from midground.datasets.base import PairSource, PixelWindow
from midground.datasets.catalogue import open_pairs
from midground.errors import ConfigError, InputError
from midground.evaluation.cuts import warped
from midground.evaluation.matchability import STAGE, feature_error_px
from midground.matching.base import Matcher
from midground.matching.configs import RomaSharedConfig
from midground.matching.roma_shared import RomaSharedMatcher
from midground.matching.xfeat import xfeat_network
from midground.modality.base import Mapper
from midground.modality.mappers import build_mapper
from midground.registration.config import EstimateConfig
from midground.training.alignments import kept_alignments
from midground.training.callbacks import Validate
from midground.training.checking import check_pairs
from midground.training.config import RealignConfig
from midground.training.fitting import fit, is_on_gpu
from midground.training.folder import begin_folder, check_folder
from midground.training.held_out import split, trained_on
from midground.training.loading import Plan
from midground.training.matcher.centring import shared_error_px, take_off
from midground.training.matcher.config import CompactConfig, MatcherTrainConfig
from midground.training.matcher.export import MATCHER_FOLDER, export_matcher, load_network, matcher_facts
from midground.training.matcher.module import Architecture, MatcherModule, dense_network
from midground.training.matcher.network import Shape, SharedRoma
from midground.training.matcher.samples import MatcherSamples
from midground.training.running import Report, Run, RunOptions, TrainResult, silent
from midground.training.sampling import SampleStream
from midground.training.telling import Lines

_CLOSE_PX, _NEAR_PX = 3.0, 5.0
_ESTIMATE = EstimateConfig(method="ransac", min_inliers=4, refine=False)
_DEFAULTS = RunOptions()


@dataclass(frozen=True, slots=True)
class CornerErrors:
    """What a validation of a matcher found."""

    errors_px: Float64[np.ndarray, " n"]
    """Average corner error of each pair; infinite for a failure."""

    @property
    def score(self) -> float:
        """Mean of the shares of pairs below 3 and below 5 px."""
        return (self._below(_CLOSE_PX) + self._below(_NEAR_PX)) / 2

    def numbers(self) -> dict[str, float]:
        """Both shares, by name."""
        return {f"ACE below {limit:g} px": self._below(limit) for limit in (_CLOSE_PX, _NEAR_PX)}

    def __str__(self) -> str:
        told = ", ".join(f"{name} {value:.2f}" for name, value in self.numbers().items())
        return f"{told}, median {np.median(self.errors_px):.1f} px; {len(self.errors_px)} pairs"

    def _below(self, limit_px: float) -> float:
        return success_rate(self.errors_px, threshold_px=limit_px).value or 0.0


class ValidateMatcher(Validate):
    """Registers the validation pairs under known warps after an epoch.

    Args:
        run: The run.
        config: Its settings.
        pairs: Unit-scaled pairs, taken as aligned.
        mapper: Brings them into the shared modality.
        matcher: Matches by the network in training.
    """

    score_name = "score"

    def __init__(
        self, run: Run, config: MatcherTrainConfig, pairs: PairSource, mapper: Mapper, matcher: Matcher
    ) -> None:
        super().__init__(run, pairs, mapper)
        # Other draws than those of the training.
        self._warp = replace(config.warp, seed=config.warp.seed + 1)
        self._matcher = matcher

    def measure(self) -> CornerErrors:
        """Measure once: a SAR image under a warp, cut so that its outline does not show, meets its optical image."""
        errors_px = []
        for index in range(len(self._pairs)):
            errors_px.append(self._error_px(index))
            self._progress(STAGE, index + 1, len(self._pairs))
        return CornerErrors(np.array(errors_px, np.float64))

    def _error_px(self, index: int) -> float:
        height, width = self._pairs.hw(index)
        side_px = self._config.data.crop_px
        pair = self._pairs.read(index, PixelWindow((height - side_px) // 2, (width - side_px) // 2, side_px, side_px))
        try:
            sar, optical, truth = warped(pair, self._warp, index)
        except InputError:
            # Too little may be left of a pair with gaps, which is a failure of this pair.
            return math.inf
        images = self._mapper.map(sar, "sar"), self._mapper.map(optical, "optical")
        return feature_error_px(self._matcher, *images, truth, _ESTIMATE)


def _require_squares(pairs: PairSource, side_px: int) -> None:
    """Refuse pairs that validation cannot cut a square from."""
    for index, name in enumerate(pairs.names):
        height, width = pairs.hw(index)
        if min(height, width) < side_px:
            raise InputError(
                f"{name}: the validation pair has {width} × {height} px, too few for data.crop_px {side_px}; lower "
                "that, or leave the pair out."
            )


def train_matcher(
    config: MatcherTrainConfig, folder: Path, options: RunOptions = _DEFAULTS, *, report: Report = silent
) -> TrainResult:
    """Train a dense matcher on shared images, and export the best.

    The folder receives the settings, the checkpoints ``last.ckpt`` and ``best.ckpt``, TensorBoard's files, and in
    ``matcher`` what the matcher ``roma-shared`` or ``roma`` loads.

    Args:
        config: Everything that decides the result.
        folder: The run's folder.
        options: How to run; on one device.
        report: Told lines of progress.

    Raises:
        InputError: Pairs cannot be used.
        ConfigError: Settings do not fit the data, or not those of the run that is resumed.
        ModelError: Weights that training starts from are missing or do not fit.
        OutputError: The folder holds a run already, and ``resume`` was not asked for; or holds none to resume.
    """
    if options.devices != 1:
        raise ConfigError(f"A matcher is trained on one device, found devices {options.devices}.")
    check_folder(config, folder, resume=options.resume)
    on_gpu = is_on_gpu(options.accelerator)
    run = Run(config=config, folder=folder, options=options, report=report, on_gpu=on_gpu)
    mapper = build_mapper(config.model)
    if config.data.workers and mapper.sha256 is not None:
        raise ConfigError(
            f"data.workers must be 0 with a learned model, found {config.data.workers}: ONNX Runtime does not survive "
            "in copies of a process."
        )
    sources = [open_pairs(source.pairs) for source in config.data.train]
    held_out = None if config.data.validation is None else open_pairs(config.data.validation)
    training, validation = split(config.data, sources, held_out)
    stream = SampleStream(
        training,
        [source.share for source in config.data.train],
        n_epoch=config.steps_per_epoch * config.batch_size,
        crop_px=config.data.crop_px,
        augment=config.augment,
        seed=config.seed,
    )
    _require_squares(validation, config.data.crop_px)
    n_channels = _n_channels(mapper, validation)
    lightning.seed_everything(config.seed, workers=True, verbose=False)
    # A resumed run has weights of its own, and what it started from may be gone.
    start = config if run.resumed is None else replace(config, init_from=None)
    architecture = _architecture(start, mapper, n_channels, on_gpu=on_gpu)
    if not options.resume:
        check_pairs(training, validation, report)
        begin_folder(config, folder)
    if config.realign_px and config.pairing in ("cross", "curriculum"):
        wanted = RealignConfig(search_px=config.realign_px)
        found = kept_alignments(folder, mapper, training, wanted, progress=Lines(run))
        stream.align([one.shifts_xy for one in found])
        report(f"realigned: {' | '.join(map(str, found))}")
    report(
        f"{sum(map(len, training))} pairs to train on, {len(validation)} to validate on; "
        f"{n_channels} channels of '{mapper.name}'"
    )
    plan = Plan(
        steps_per_epoch=config.steps_per_epoch,
        batch_size=config.batch_size,
        workers=config.data.workers or 0,
        pin_memory=on_gpu,
    )
    samples = MatcherSamples(stream, mapper, config, architecture.view)
    module = MatcherModule(config, architecture, samples, plan)
    data = trained_on(config.data, training)
    module.facts = matcher_facts(config, mapper, n_channels, data)
    result = fit(run, module, ValidateMatcher(run, config, validation, mapper, architecture.matcher))
    if result.last is not None:
        architecture.export(folder, samples)
        report(f"the matcher lies in {folder / MATCHER_FOLDER}")
    return result


def _architecture(config: MatcherTrainConfig, mapper: Mapper, n_channels: int, *, on_gpu: bool) -> Architecture:
    """What training starts from."""
    if not isinstance(config.network, CompactConfig):
        # The package romatch is an extra of its own.
        from midground.training.matcher.full import full_roma

        return full_roma(config, config.network, n_channels, on_gpu=on_gpu)
    refiners_learn = config.network.train_refiners

    def export(folder: Path, samples: MatcherSamples) -> None:
        """Export the best network of a run, without the error that training made all its matches share."""
        best, facts = load_network(folder)
        error_px = shared_error_px(best, samples, config.n_samples) if refiners_learn else None
        if error_px is not None:
            take_off(best, error_px)
        export_matcher(best, facts, folder / MATCHER_FOLDER, error_px=error_px)

    network = _network(config, config.network, n_channels).train()
    matcher = RomaSharedMatcher(
        RomaSharedConfig(),
        dense_network(network),
        n_channels=n_channels,
        side_px=config.side_px,
        model=mapper.name,
    )
    return Architecture(network=network, rates=((network, 1.0),), matcher=matcher, export=export)


def _network(config: MatcherTrainConfig, of: CompactConfig, n_channels: int) -> SharedRoma:
    """The compact network that training starts from."""
    if of.n_oriented > n_channels:
        raise ConfigError(
            f"network.n_oriented: '{config.model}' has {n_channels} channels, found {of.n_oriented}: 0 if none of them "
            "belongs to an orientation."
        )
    shape = Shape(n_channels, of.n_oriented, config.warp.rotation_deg, of.train_refiners)
    if config.init_from is None:
        return SharedRoma(shape, xfeat_network())
    before, facts = load_network(Path(config.init_from))
    if facts["model"] != config.model or before.shape[:2] != shape[:2]:
        raise ConfigError(
            f"init_from: {config.init_from}: was trained on {before.shape.n_channels} channels of '{facts['model']}' "
            f"({before.shape.n_oriented} oriented), and these settings name '{config.model}' with {shape.n_channels} "
            f"({shape.n_oriented})."
        )
    network = SharedRoma(shape)
    # Layers that only one of them has stay as they are.
    network.load_state_dict(before.state_dict(), strict=False)
    return network


def _n_channels(mapper: Mapper, pairs: PairSource) -> int:
    """Channels of the shared modality, by mapping a corner of a pair."""
    return mapper.map(pairs.read(0, PixelWindow(0, 0, 64, 64)).sar, "sar").n_channels
