"""The report as a browser shows it: nothing fails, the viewer moves, nothing leaves the page."""

from __future__ import annotations

import html
import json
import re
import subprocess
from pathlib import Path

import cv2
import pytest

from midground.report.html import render_report

pytestmark = pytest.mark.browser

PROBE = Path(__file__).with_name("probe.js").read_text(encoding="utf-8")


def run(chromium, folder, page, *arguments):
    """Open a page in a fresh headless browser; whatever reaches the console fails the test."""
    path = folder / "report.html"
    path.write_text(page, encoding="utf-8")
    command = [
        chromium,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--enable-logging=stderr",
        f"--user-data-dir={folder / 'profile'}",
        "--virtual-time-budget=5000",
        *arguments,
        path.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not console, console
    return done.stdout


def probe(chromium, folder, page, *, width=1280):
    page = page.replace("</body>", f"<script>{PROBE}</script></body>")
    dom = run(chromium, folder, page, f"--window-size={width},1000", "--dump-dom")
    found = re.search(r'<pre id="probe">(.*?)</pre>', dom, flags=re.DOTALL)
    assert found, "the probe did not finish"
    return json.loads(html.unescape(found.group(1)))


def test_viewer_moves_by_slider_keys_and_pointer(chromium, make_registration, tmp_path):
    seen = probe(chromium, tmp_path, render_report(make_registration()))
    assert seen["start"] == 50
    assert seen["slid"] == 20
    assert seen["clip"] == "inset(0px 0px 0px 20%)"
    assert seen["stepped"] == 22
    assert seen["dragged"] == 75
    assert "picture-after" in seen["shown"]
    assert "picture-before" in seen["toggled"]
    assert seen["mask"] == "conic-gradient"
    assert float(seen["opacity"]) == pytest.approx(0.3)
    assert seen["kept"] == 75
    assert seen["zoom"] == "2×"
    assert seen["size"].startswith("calc(200%") or seen["size"].startswith("200%")
    assert seen["pan"] == "45%"
    assert seen["printed"]


@pytest.mark.parametrize("verdict", ["accept", "suspect", "reject"])
@pytest.mark.parametrize("width", [1280, 800, 500])
def test_pictures_load_and_nothing_leaves_the_page(chromium, make_registration, tmp_path, verdict, width):
    seen = probe(chromium, tmp_path, render_report(make_registration(verdict)), width=width)
    assert seen["images"]
    assert all(seen["images"])
    assert set(seen["requests"]) <= {"data:"}
    assert seen["width"] == width
    assert seen["overflowing"] == []
    assert seen["overflow"] <= 0


def test_page_without_pictures_loads(chromium, make_registration, tmp_path):
    seen = probe(chromium, tmp_path, render_report(make_registration("reject", with_previews=False)))
    assert seen["images"] == []


@pytest.mark.parametrize(
    ("verdict", "tone"), [("accept", (10, 107, 82)), ("suspect", (143, 78, 0)), ("reject", (169, 31, 43))]
)
def test_verdict_has_its_colour(chromium, make_registration, tmp_path, verdict, tone):
    picture = tmp_path / "page.png"
    page = render_report(make_registration(verdict))
    run(chromium, tmp_path, page, "--window-size=1280,900", f"--screenshot={picture}")
    shown = cv2.imread(str(picture))[..., ::-1]
    assert shown.shape == (900, 1280, 3)
    assert (shown == tone).all(axis=2).sum() > 1000
