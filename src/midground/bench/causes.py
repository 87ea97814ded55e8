"""Why a number of ours is not the published one."""

from __future__ import annotations

from pathlib import Path

from midground.bench.scores import Run
from midground.matching.configs import RomaSharedConfig
from midground.matching.roma_card import load_matcher
from midground.matching.roma_shared import SHIPPED
from midground.modality.base import Mapper
from midground.modality.learned import LearnedMapper
from midground.modality.structure import GreyMapper


def cause_of(run: Run, mapper: Mapper) -> str:
    """Data, training of the model and weights of the matcher that a run was made with.

    Args:
        run: A run of a matcher.
        mapper: Its model.
    """
    pairs = run.manifest["pairs"]
    told = [f"{pairs['n_pairs']} pairs of {pairs['name']}"]
    if isinstance(mapper, LearnedMapper):
        training = mapper.bundle.card.training
        told.append(f"model trained on {', '.join(training.data)}: {training.recipe}")
    elif not isinstance(mapper, GreyMapper):
        told.append(f"{mapper.name}, which is not trained, as the model")
    weights = run.manifest["weights"]
    if run.method == RomaSharedConfig().name:
        own = run.manifest["method"]["weights"]
        card, _ = load_matcher(SHIPPED if own is None else Path(own))
        told.append(f"matcher trained on {', '.join(card.data)}: {card.recipe}")
    elif weights:
        told.append("weights of the matcher: " + ", ".join(f"{part} {digest[:12]}" for part, digest in weights.items()))
    return "; ".join(told)
