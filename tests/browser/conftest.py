"""The maker of registrations that the unit tests of the report use, and a headless Chromium."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

REGISTRATIONS = Path(__file__).parents[1] / "unit" / "report" / "registrations.py"


@pytest.fixture(scope="session")
def make_registration():
    spec = importlib.util.spec_from_file_location("report_registrations", REGISTRATIONS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make_registration


@pytest.fixture(scope="session")
def chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    pytest.skip("needs Chromium, and there is none on the path")
