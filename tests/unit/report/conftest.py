"""The maker of registrations, as a fixture: the package must be imported after the shape checks are set up."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def make_registration():
    spec = importlib.util.spec_from_file_location("report_registrations", Path(__file__).with_name("registrations.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make_registration
