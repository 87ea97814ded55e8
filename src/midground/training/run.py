"""A training run from its settings to its checkpoints, and on after an interruption."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from midground.datasets.catalogue import open_pairs
from midground.datasets.scaled import ScaledPairs
from midground.errors import ConfigError, DependencyError, InputError, quoted
from midground.evaluation.matchability import require_windows
from midground.modality.bands import ANY
from midground.modality.base import MODALITIES, InputSpec, Modality
from midground.training.callbacks import Realign, Validate
from midground.training.checking import check_pairs, require_room
from midground.training.checkpoint import facts, find_checkpoint, read_state, weights_of
from midground.training.config import TRANSLATOR_STRIDES_PX, TrainConfig
from midground.training.fitting import fit, is_on_gpu
from midground.training.folder import begin_folder, check_folder
from midground.training.held_out import split, trained_on
from midground.training.loading import Plan, default_workers
from midground.training.module import BothNetworks, SharedModality
from midground.training.running import Report, Run, RunOptions, TrainResult, silent
from midground.training.sampling import SampleStream
from midground.training.torch_mapper import TorchMapper
from midground.training.translation.module import Translation
from midground.training.weights import KEY

try:
    import lightning
    from lightning.pytorch.utilities import rank_zero_only
except ImportError as error:
    raise DependencyError("Training a network", extra="train") from error

_DEFAULTS = RunOptions()


def train(
    config: TrainConfig, folder: Path, options: RunOptions = _DEFAULTS, *, report: Report = silent
) -> TrainResult:
    """Train a shared modality.

    The folder receives the settings, the checkpoints ``last.ckpt`` and ``best.ckpt``, and TensorBoard's files.

    Args:
        config: Everything that decides the result.
        folder: The run's folder.
        options: How to run.
        report: Told lines of progress.

    Raises:
        InputError: Pairs cannot be used.
        ConfigError: Settings do not fit the data, or not those of the run that is resumed.
        OutputError: The folder holds a run already, and ``resume`` was not asked for; or holds none to resume.
    """
    is_first_process = rank_zero_only.rank == 0
    if is_first_process:
        check_folder(config, folder, resume=options.resume)
    else:
        report = silent
    on_gpu = is_on_gpu(options.accelerator)
    run = Run(config=config, folder=folder, options=options, report=report, on_gpu=on_gpu)
    sources = [open_pairs(source.pairs) for source in config.data.train]
    held_out = None if config.data.validation is None else open_pairs(config.data.validation)
    training, validation = split(config.data, sources, held_out)
    inputs = {modality: _input_spec(config, sources[0], modality) for modality in MODALITIES}
    opened = sources if held_out is None else [*sources, held_out]
    n_bands = {modality: _n_bands(opened, modality) for modality in MODALITIES}
    require_windows(validation, config.validation)
    if config.realign.every_epochs:
        require_room(training, config.realign.search_px)
    stream = SampleStream(
        training,
        [source.share for source in config.data.train],
        n_epoch=config.steps_per_epoch * config.batch_size,
        crop_px=config.data.crop_px,
        augment=config.augment,
        seed=config.seed,
    )
    lightning.seed_everything(config.seed, workers=True, verbose=False)
    workers = default_workers(on_gpu=on_gpu) if config.data.workers is None else config.data.workers
    module = _module(config, n_bands, stream, options, workers=workers, on_gpu=on_gpu)
    # A resumed run has weights of its own, and what it started from may be gone.
    if config.init_from is not None and run.resumed is None:
        _start_from(module, Path(config.init_from), n_bands)
    report(
        f"{sum(map(len, training))} pairs to train on, {len(validation)} to validate on; "
        f"{n_bands['sar']} SAR and {n_bands['optical']} optical band(s) to {config.n_channels} channels"
    )
    data = trained_on(config.data, training)
    module.facts = facts(config, inputs, data) | {"n_bands": n_bands}
    mapper = TorchMapper(module.networks, inputs)
    if is_first_process and not options.resume:
        check_pairs(training, validation, report)
        begin_folder(config, folder)
    validate, realign = Validate(run, validation, mapper), Realign(run, config.realign, training, mapper)
    with _told_of_compiling():
        return fit(run, module, validate, realign)


@contextmanager
def _told_of_compiling() -> Iterator[None]:
    """Say of what fails within torch.compile what it needs, and that training goes on without."""
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise
        raise ConfigError(
            f"compile: torch.compile fails here ({quoted(error)}); it needs a C++ compiler, and triton on a GPU: "
            "install them, or go on with --resume and compile=false."
        ) from error


def _n_bands(sources: list[ScaledPairs], modality: Modality) -> int:
    profiles = [source.sar_profile if modality == "sar" else source.optical_profile for source in sources]
    counts = [len(profile.bands) for profile in profiles]
    if len(set(counts)) != 1:
        raise InputError(
            f"The collections have different numbers of {modality} bands, {counts}: choose as many of each with "
            f"bands_{modality}."
        )
    return counts[0]


def _module(
    config: TrainConfig,
    n_bands: Mapping[Modality, int],
    stream: SampleStream,
    options: RunOptions,
    *,
    workers: int,
    on_gpu: bool,
) -> BothNetworks:
    if config.batch_size % options.devices:
        raise ConfigError(f"batch_size {config.batch_size} cannot be dealt to {options.devices} devices evenly.")
    plan = Plan(
        steps_per_epoch=config.steps_per_epoch,
        batch_size=config.batch_size // options.devices,
        world_size=options.devices,
        workers=workers,
        pin_memory=on_gpu,
    )
    translates = config.network.name in TRANSLATOR_STRIDES_PX
    if translates and options.devices > 1:
        raise ConfigError(
            f"The criterion {config.criterion.name} is trained on one device, found {options.devices}: leave out "
            "--devices."
        )
    module = (Translation if translates else SharedModality)(config, n_bands, stream, plan)
    if config.compile:
        for network in module.networks.values():
            network.compile(mode="reduce-overhead" if on_gpu else "default")
    return module


def _start_from(module: BothNetworks, path: Path, n_bands: Mapping[Modality, int]) -> None:
    path = find_checkpoint(path)
    state = read_state(path)
    for modality in MODALITIES:
        known = state[KEY]["n_bands"][modality]
        if known != n_bands[modality]:
            raise ConfigError(
                f"init_from: {path}: its {modality} network takes {known} band(s), the pairs have {n_bands[modality]}; "
                f"choose as many with bands_{modality}."
            )
        try:
            module.networks[modality].load_state_dict(weights_of(state, modality))
        except RuntimeError as error:
            raise ConfigError(
                f"init_from: {path}: its {modality} network has other channels or widths than these settings; give "
                "n_channels and network as they were then."
            ) from error


def _input_spec(config: TrainConfig, source: ScaledPairs, modality: Modality) -> InputSpec:
    """What the model's card asks of an image: the bands that it was trained on, limits from the image's own scene."""
    if modality == "sar":
        named, bands = config.card.sar_bands, source.sar_profile.bands
        if named is None and len(bands) == 1:
            named = (ANY,)
    else:
        named, bands = config.card.optical_bands, source.optical_profile.bands
    if named is not None and len(named) != len(bands):
        raise ConfigError(
            f"card.{modality}_bands names {len(named)} band(s), {', '.join(named)}, but the pairs have {len(bands)}; "
            f"name those that they have, or choose as many of the pairs with bands_{modality}."
        )
    return InputSpec(bands=named or bands)
