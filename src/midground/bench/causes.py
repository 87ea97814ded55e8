"""Why a number of ours is not the published one."""

from __future__ import annotations

from pathlib import Path

from midground.bench.published import MAX_POINTS
from midground.bench.scores import Run
from midground.matching.configs import Rift2Config, RomaSharedConfig, SiftConfig
from midground.matching.roma_card import load_matcher
from midground.modality.base import Mapper
from midground.modality.learned import LearnedMapper
from midground.modality.structure import GreyMapper

_UNLIKE_THE_PAPERS = {
    SiftConfig().name: "nearest neighbours both ways and a ratio test, of which the paper says nothing",
    Rift2Config().name: "nearest neighbours both ways and key points up to the borders, unlike the paper's code",
    RomaSharedConfig().name: "a compact network in RoMa's place",
}


def cause_of(run: Run, mapper: Mapper) -> str:
    """Data, training of the model, and weights and settings of the matcher that a run was made with.

    Args:
        run: A run of a matcher.
        mapper: Its model.
    """
    pairs = run.manifest["pairs"]
    told = [likeness_cause(f"{pairs['n_pairs']} pairs of {pairs['name']}", mapper)]
    if isinstance(mapper, GreyMapper):
        told.append("grey of both images, where the paper matches colours with grey")
    if run.method in _UNLIKE_THE_PAPERS:
        told.append(_UNLIKE_THE_PAPERS[run.method])
    method, weights = run.manifest["method"], run.manifest["weights"]
    told += [
        f"{key} {method[key]}, not {MAX_POINTS}"
        for key in ("max_keypoints", "max_matches")
        if method.get(key, MAX_POINTS) != MAX_POINTS
    ]
    if run.method == RomaSharedConfig().name:
        own = method["weights"]
        card, _ = load_matcher(None if own is None else Path(own))
        told.append(f"matcher trained on {', '.join(card.data)}: {card.recipe}")
    elif weights:
        told.append("weights of the matcher: " + ", ".join(f"{part} {digest[:12]}" for part, digest in weights.items()))
    return "; ".join(told)


def likeness_cause(pairs: str, mapper: Mapper) -> str:
    """Data and training of the model that images were mapped with.

    Args:
        pairs: How many pairs of what.
        mapper: The model.
    """
    if isinstance(mapper, LearnedMapper):
        training = mapper.bundle.card.training
        return f"{pairs}; model trained on {', '.join(training.data)}: {training.recipe}"
    if isinstance(mapper, GreyMapper):
        return pairs
    return f"{pairs}; {mapper.name}, which is not trained, as the model"
