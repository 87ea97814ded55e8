"""Build the wheel, install it where nothing else is, and check what a user would get."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
from pathlib import Path

MAX_INSTALLED_MB = 700
FORBIDDEN = ("torch", "torchvision", "kornia")
ROOT = Path(__file__).parents[1]


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command and return what it printed."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, check=False, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"failed: {' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def size_mb(folder: Path) -> float:
    """Space that the files of a folder take, in MB; links are not followed."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir()) / 1e6


def check_contents(wheel: Path) -> None:
    """Demand the typing marker, the licence and every data file that the source tree holds."""
    names = set(zipfile.ZipFile(wheel).namelist())
    package = ROOT / "src" / "midground"
    data = [path for path in package.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
    missing = [path for path in data if f"midground/{path.relative_to(package).as_posix()}" not in names]
    if missing or not any(name.endswith("licenses/LICENSE") for name in names):
        sys.exit(f"{wheel.name} lacks the licence or {missing}.")


def main() -> None:
    """Build, install, run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT, cwd=folder)
        (wheel,) = folder.glob("*.whl")
        check_contents(wheel)
        environment = folder / "environment"
        venv.create(environment, with_pip=True, symlinks=True)
        python = environment / "bin" / "python"
        before = size_mb(environment)
        start = time.perf_counter()
        constraints = ROOT / "constraints.txt"
        run(python, "-m", "pip", "install", "--no-compile", "--quiet", wheel, "-c", constraints, cwd=folder)
        seconds = time.perf_counter() - start
        installed = size_mb(environment) - before
        version = run(environment / "bin" / "midground", "--version", cwd=folder).strip()
        models = run(environment / "bin" / "midground", "models", "verify", "default", cwd=folder).strip()
        found = {line.split("==")[0].lower() for line in run(python, "-m", "pip", "freeze", cwd=folder).splitlines()}
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB, {installed:.0f} MB installed in {seconds:.0f} s")
        print(version)
        print(models)
        if installed > MAX_INSTALLED_MB or found & set(FORBIDDEN):
            sys.exit(f"The base install may take {MAX_INSTALLED_MB} MB and hold none of {', '.join(FORBIDDEN)}.")


if __name__ == "__main__":
    main()
