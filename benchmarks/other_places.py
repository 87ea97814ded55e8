"""Which matchers find a transform between images of two places, as they do between those of one.

    python benchmarks/other_places.py [--data FOLDER] [--n 34] [--model structure] [--protocol known-warp]
                                      [--matchers roma-shared,template,sift,rift2]

OMBRIA test pairs, evenly spread, warped as ``midground bench`` warps them; once with their own optical image, once with
that of another pair. A transform is found if ``midground match`` would call it supported (affine), and right if its
average corner error is below 5 px.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

from command import names_of, run_script
from pairs import Ombria, data_root

from midground.bench.config import PROTOCOLS
from midground.core.image import Image
from midground.core.metrics import ace
from midground.core.transforms import Transform
from midground.datasets.splits import spread_indices
from midground.errors import RegistrationError
from midground.evaluation.cuts import warped
from midground.matching.base import Matcher
from midground.matching.registry import MATCHERS, build_matcher
from midground.modality.mappers import build_mapper
from midground.registration.estimate import estimate_transform

RIGHT_PX = 5.0


def main() -> None:
    """Print one row for each matcher."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--n", type=int, default=34)
    parser.add_argument("--model", default="structure")
    parser.add_argument("--protocol", choices=PROTOCOLS, default="known-warp")
    names = names_of("matcher", MATCHERS)
    parser.add_argument("--matchers", type=names, default="roma-shared,template,sift,rift2")
    arguments = parser.parse_args()
    source, mapper = Ombria(data_root(arguments.data)), build_mapper(arguments.model)
    pairs = [source.read(index) for index in spread_indices(len(source), arguments.n)]
    mapped: list[tuple[Image, Image, Image, Transform]] = []
    for index, pair in enumerate(pairs):
        other = replace(pair, optical=pairs[(index + len(pairs) // 2) % len(pairs)].optical)
        (sar, optical, truth), (_, elsewhere, _) = (
            warped(one, PROTOCOLS[arguments.protocol], index) for one in (pair, other)
        )
        mapped.append((mapper.map(sar, "sar"), *(mapper.map(one, "optical") for one in (optical, elsewhere)), truth))
    print(f"{len(pairs)} pairs, {arguments.protocol}, {arguments.model}: transforms found")
    print("| matcher | of one place, right | of one place, wrong | of two places |\n|---|---|---|---|")
    for name in arguments.matchers:
        matcher = build_matcher(name)
        errors_px = [
            ace(transform, truth, sar.hw)
            for sar, optical, _, truth in mapped
            if (transform := found(matcher, sar, optical)) is not None
        ]
        n_right = sum(error_px < RIGHT_PX for error_px in errors_px)
        n_elsewhere = sum(found(matcher, sar, elsewhere) is not None for sar, _, elsewhere, _ in mapped)
        print(f"| {name} | {n_right} | {len(errors_px) - n_right} | {n_elsewhere} |", flush=True)


def found(matcher: Matcher, moving: Image, fixed: Image) -> Transform | None:
    """The affine transform that the matches support, if any."""
    try:
        return estimate_transform(matcher.match(moving, fixed), "affine").transform
    except RegistrationError:
        return None


if __name__ == "__main__":
    run_script(main)
