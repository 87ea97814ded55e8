"""Published datasets: how each names its files, and so which images are pairs and which place they show."""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import MappingProxyType

from midground.datasets.listing import Listing, ListingBuilder, Problem
from midground.datasets.selection import EVERY_PAIR, Selection
from midground.errors import InputError

SPLIT_NAMES = MappingProxyType({"train": "train", "validation": "validation", "test": "test", "val": "validation"})
"""Part of a division by the names that publishers give it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a dataset names its images.

    All is in the names: the groups of the patterns. ``modality`` says which image it is, ``date`` (YYYYMMDD) when it
    was taken; the others, ``split`` (train, val, test) among them, are equal in both images of a pair. All but the
    modality make up the name of a pair.
    """

    summary: str
    """What the dataset is, and its publication."""
    patterns: tuple[str, ...]
    """Regular expressions for the end of an image's path, whatever the case of its letters."""
    modalities: Mapping[str, str]
    """What the group ``modality`` holds, in small letters, and what it means: ``sar`` or ``optical``."""
    place: tuple[str, ...] | None = None
    """Groups that make up the place; all but modality and date if omitted."""
    band_vv: int = 1
    """SAR band that holds VV, or the only one, counted from 1."""
    bands_rgb: tuple[int, int, int]
    """Optical bands that hold red, green and blue."""
    named_elsewhere: Callable[[Path, Set[str]], Iterator[Problem]] | None = None
    """Compares what the dataset's own records name with the names of the images that are there."""


@dataclass(frozen=True, slots=True)
class _Found:
    path: Path
    groups: Mapping[str, str]

    @property
    def name(self) -> str:
        return "_".join(text for group, text in self.groups.items() if group != "modality")

    @property
    def patch(self) -> str:
        return "_".join(text for group, text in self.groups.items() if group not in ("modality", "date"))

    @property
    def day(self) -> date:
        return date.fromisoformat(self.groups.get("date", "20000101"))

    def has_day(self) -> bool:
        try:
            return bool(self.day)
        except ValueError:
            return False


def scan_layout(layout: Layout, root: Path, selection: Selection = EVERY_PAIR) -> Listing:
    """Find the pairs of a published dataset, or of a part of it, wherever below a folder they lie.

    Each optical image is paired with the SAR image of the same patch that is closest in date, the earlier of two that
    are equally close (paper, section 4.1). SAR images that are closest to none are left out; images of a patch that
    lacks the other modality are reported.

    Raises:
        InputError: There is no such folder.
    """
    if not root.is_dir():
        raise InputError(f"{root}: there is no such folder; name the one that the dataset was unpacked into.")
    found = ListingBuilder(selection)
    images = _by_patch(layout, root, found)
    for modality, other in (("optical", "sar"), ("sar", "optical")):
        for patch in sorted(images[modality].keys() - images[other].keys()):
            for image in images[modality][patch]:
                message = f"{image.path}: there is no {other} image of the same patch; it is not used."
                found.report("unpaired", message, image.path)
    matches: list[tuple[_Found, _Found]] = []
    for patch, candidates in images["sar"].items():
        here = [(_closest(candidates, optical), optical) for optical in images["optical"].get(patch, ())]
        kept = [(sar, optical) for sar, optical in here if selection.keeps(optical.name)]
        matches += kept
        if kept:
            used = {sar.path for sar, _ in here}
            found.others += [image.path for image in candidates if image.path not in used]
    for sar, optical in sorted(matches, key=lambda match: match[1].name):
        _add(layout, sar, optical, found)
    return found.listing()


def _closest(candidates: Sequence[_Found], optical: _Found) -> _Found:
    return min(candidates, key=lambda found: (abs(found.day - optical.day), found.day))


def _by_patch(layout: Layout, root: Path, found: ListingBuilder) -> dict[str, dict[str, list[_Found]]]:
    """Images of each modality by patch; what is wrong with names is reported."""
    images: dict[str, dict[str, list[_Found]]] = {"sar": defaultdict(list), "optical": defaultdict(list)}
    names: set[str] = set()
    for image in _images(layout, root):
        names.add(image.path.name)
        if image.has_day():
            images[layout.modalities[image.groups["modality"].lower()]][image.patch].append(image)
        else:
            message = f"{image.path}: there is no such date in the calendar; correct the name."
            found.report("unreadable", message, image.path)
    if layout.named_elsewhere is not None:
        found.problems += layout.named_elsewhere(root, names)
    return images


def _images(layout: Layout, root: Path) -> Iterator[_Found]:
    patterns = [re.compile(rf"(?:^|/){pattern}$", re.IGNORECASE) for pattern in layout.patterns]
    for folder, folders, files in os.walk(root):
        folders.sort()
        for path in (Path(folder, file) for file in sorted(files) if not file.startswith(".")):
            text = path.relative_to(root).as_posix()
            match = next((found for pattern in patterns if (found := pattern.search(text))), None)
            if match is not None:
                yield _Found(path, {name: text for name, text in match.groupdict().items() if text is not None})


def _add(layout: Layout, sar: _Found, optical: _Found, found: ListingBuilder) -> None:
    if optical.name in found.pairs:
        first = found.pairs[optical.name].optical
        message = f"{optical.path}: is the same image as {first}; remove one of them."
        found.report("duplicate", message, optical.path)
        return
    place = None
    if found.selection.place_pattern is None:
        groups = layout.place
        place = optical.patch if groups is None else "_".join(optical.groups[group] for group in groups)
    split = SPLIT_NAMES.get(optical.groups.get("split", "").lower())
    found.add(optical.name, place, (sar.path, optical.path), split=split)


def _multisenge_labels(root: Path, names: Set[str]) -> Iterator[Problem]:
    """Compare the images with those that ``labels/{tile}_{x}_{y}.json`` name, separated by semicolons."""
    for path in sorted(root.rglob("labels/*.json")):
        try:
            label = json.loads(path.read_text(encoding="utf-8"))
            wanted = ";".join((label["corresponding_s1"], label["corresponding_s2"])).split(";")
        except (OSError, ValueError, KeyError, TypeError) as error:
            yield Problem(kind="unreadable", message=f"{path}: the label cannot be read ({error!r}); fetch it again.")
            continue
        absent = sorted(set(filter(None, wanted)) - names)
        if absent:
            message = f"{path}: names {len(absent)} image(s) that are not here, the first '{absent[0]}'; fetch them."
            yield Problem(kind="missing", message=message)


_SEN12_IMAGE = r"(?P<rois>ROIs\d+_[a-z]+)_(?P<modality>s1|s2)_(?P<scene>\d+)_(?P<patch>p\d+)"

LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "multisenge": Layout(
            summary="MultiSenGE: Sentinel-1 VV, VH and Sentinel-2, 10 bands, many dates (Wenger et al. 2022)",
            patterns=(r"(?P<tile>\d\d[A-Z]{3})_(?P<date>\d{8})_(?P<modality>S1|S2)_(?P<x>\d+)_(?P<y>\d+)\.tif",),
            modalities={"s1": "sar", "s2": "optical"},
            bands_rgb=(3, 2, 1),
            named_elsewhere=_multisenge_labels,
        ),
        "sen1-2": Layout(
            summary="SEN1-2: Sentinel-1 VV and Sentinel-2 RGB, 8 bits (Schmitt et al. 2018)",
            patterns=(rf"{_SEN12_IMAGE}\.png",),
            modalities={"s1": "sar", "s2": "optical"},
            bands_rgb=(1, 2, 3),
            place=("rois", "scene"),
        ),
        "sen12ms": Layout(
            summary="SEN12MS: Sentinel-1 VV, VH in dB and Sentinel-2, 13 bands (Schmitt et al. 2019)",
            patterns=(rf"{_SEN12_IMAGE}\.tif",),
            modalities={"s1": "sar", "s2": "optical"},
            bands_rgb=(4, 3, 2),
            place=("rois", "scene"),
        ),
        "sen12ms-cr": Layout(
            summary="SEN12MS-CR: as SEN12MS, the cloudy images left out (Ebel et al. 2020)",
            patterns=(
                rf"{_SEN12_IMAGE}\.tif",
                # Subsets are passed on with one folder for each kind of image and no kind in the names.
                r"(?P<modality>s1|s2_cloudfree)/(?P<rois>ROIs\d+_[a-z]+)_(?P<scene>\d+)_(?P<patch>p\d+)\.tif",
            ),
            modalities={"s1": "sar", "s2": "optical", "s2_cloudfree": "optical"},
            bands_rgb=(4, 3, 2),
            place=("rois", "scene"),
        ),
        "osdataset": Layout(
            summary="OSdataset: GaoFen-3 and Google Earth, 1 m, 8 bits (Xiang et al. 2020)",
            patterns=(r"(?:(?P<split>train|val|test)/)?(?P<modality>sar|opt)(?P<number>\d+)\.png",),
            modalities={"sar": "sar", "opt": "optical"},
            bands_rgb=(1, 2, 3),
        ),
        "bigearthnet": Layout(
            summary="BigEarthNet: patches with all bands in one file, in folders sar and optical (Sumbul et al. 2021)",
            patterns=(r"(?P<modality>sar|optical)/(?P<scene>S2[A-C]_MSIL2A_\w+?)_(?P<column>\d+)_(?P<row>\d+)\.tif",),
            modalities={"sar": "sar", "optical": "optical"},
            place=("scene",),
            bands_rgb=(3, 2, 1),
        ),
    }
)
"""Published datasets by the name of their layout."""
