import os
import resource
import subprocess
import sys

import pytest

HEAVY = {"torch", "rasterio", "cv2", "onnxruntime", "matplotlib", "yaml", "numpy"}
COMMANDS = [
    [],
    ["register"],
    ["apply"],
    ["map"],
    ["match"],
    ["simulate"],
    ["train"],
    ["train-matcher"],
    ["evaluate"],
    ["data"],
    ["data", "info"],
    ["models"],
    ["models", "convert"],
    ["models", "export"],
]


def loaded_by(*arguments: str) -> tuple[set[str], str]:
    """Top-level modules that a fresh interpreter loads, and what it prints."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rsplit("|", 1)[1].strip().split(".")[0] for line in lines}, done.stdout


def test_exports_are_few_sorted_and_there() -> None:
    import midground

    assert midground.__all__ == sorted(midground.__all__)
    assert len(midground.__all__) <= 20
    for name in midground.__all__:
        assert getattr(midground, name).__name__ == name
    assert set(midground.__all__) < set(dir(midground))


def test_every_export_has_one_home() -> None:
    import midground

    assert list(midground._HOMES) == midground.__all__


def test_unknown_names_are_refused() -> None:
    import midground

    with pytest.raises(AttributeError, match="no attribute 'registre'"):
        _ = midground.registre  # type: ignore[attr-defined]


def test_import_is_light() -> None:
    modules, _ = loaded_by("-c", "import midground")
    assert "midground" in modules
    assert not modules & HEAVY


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_is_light(command: list[str]) -> None:
    modules, text = loaded_by("-m", "midground", *command, "--help")
    assert "Usage: midground" in text
    assert not modules & HEAVY


def test_help_is_fast() -> None:
    spent = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "midground", "--help"], capture_output=True, check=True, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    assert min(spent) < 0.5


def test_version() -> None:
    import midground

    done = subprocess.run(
        [sys.executable, "-m", "midground", "--version"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=os.environ | {"COLUMNS": "200"},
    )
    assert done.stdout == f"midground {midground.__version__}\n"


@pytest.mark.parametrize("image", ["None", "[[1.0, 2.0], [3.0, 4.0]]"])
def test_what_is_no_image_is_refused(image: str) -> None:
    # In a process of its own, as tests check the types of every call.
    program = f"import midground; midground.register({image}, {image})"
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "InputError: The fixed image is a" in done.stderr.splitlines()[-1]
    assert "give a file's name, or an array" in done.stderr.splitlines()[-1]
