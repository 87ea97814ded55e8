from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from midground.errors import OutputError
from midground.report.html import render_report, write_report


@pytest.mark.parametrize(("verdict", "word"), [("accept", "Accepted"), ("suspect", "Suspect"), ("reject", "Rejected")])
def test_each_verdict_is_stated_in_words_and_icon(make_registration, verdict, word):
    page = render_report(make_registration(verdict))
    assert f"<h2>{word}</h2>" in page
    assert f"#icon-{verdict}" in page
    assert "Held-out tie points agree within 1.3 px." in page
    assert "What to do next" in page


@pytest.mark.parametrize("verdict", ["accept", "suspect", "reject"])
@pytest.mark.parametrize("crs", ["EPSG:32631", None])
@pytest.mark.parametrize("with_previews", [True, False])
def test_page_is_whole_and_asks_for_nothing_outside(make_registration, verdict, crs, with_previews):
    page = render_report(make_registration(verdict, crs=crs, with_previews=with_previews))
    assert page.rstrip().endswith("</html>")
    assert "http:" not in page
    assert "https:" not in page
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert not re.search(r"url\((?!data:)", page)
    assert "None" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", page)
    assert not re.search(r"\bnan\b", page)
    assert len(page) < 6_000_000


def test_the_shared_modality_that_is_shown_is_told_from_the_one_that_led(make_registration):
    found = make_registration()
    assert "by <b>s1s2</b>, in which the independent estimate was made; the tie points were found in that of " in (
        render_report(found)
    )
    assert "by <b>s1s2</b>, in which the tie points were found." in render_report(replace(found, lead="s1s2"))


def test_numbers_come_with_their_size_on_the_ground(make_registration):
    page = render_report(make_registration())
    assert "61.2 m east, 38.9 m south" in page
    assert "0.62 px" in page
    assert "6.2 m on the ground" in page
    assert "72 of 90" in page
    assert "<b>97%</b>" in page
    assert "0.40" in page
    assert "found nothing" in page


def test_without_a_coordinate_system_the_shift_is_in_pixels(make_registration):
    page = render_report(make_registration(crs=None))
    assert "px right" in page
    assert "px up" in page
    assert "no ground size known" in page


def test_rejection_without_a_transform_has_no_after_view(make_registration):
    page = render_report(make_registration("reject"))
    assert "picture-before" in page
    assert 'class="layer over picture-after"' not in page
    assert 'id="residuals"' not in page
    assert "no transform found" in page
    assert "in the calibration" not in page


def test_rejected_candidate_is_called_one(make_registration):
    page = render_report(replace(make_registration("accept"), verdict="reject"))
    assert "best candidate, which was rejected" in page


def test_no_tie_points_at_all(make_registration):
    found = make_registration("reject")
    none = {name: getattr(found.tie_points, name)[:0] for name in ("moving_xy", "fixed_xy", "score", "used")}
    none |= {"residual_px": np.zeros(0), "held_out_residual_px": np.zeros(0)}
    page = render_report(replace(found, tie_points=replace(found.tie_points, **none), n_matches=0, witnesses=()))
    assert "no match found" in page
    assert 'id="tie-points"' not in page


def test_names_and_reasons_are_escaped(make_registration):
    page = render_report(
        replace(make_registration(name="<script>alert(1)</script>&.tif"), reasons=("a < b & `c > d`", "`odd"))
    )
    assert "<script>alert" not in page
    assert "alert(1)&lt;" not in page.split("<title>")[0]
    assert "&amp;.tif" in page
    assert "a &lt; b &amp; <code>c &gt; d</code>" in page
    assert "`odd" in page


def test_settings_and_provenance_are_listed(make_registration):
    page = render_report(make_registration())
    for text in (
        "template.window_px",
        "96",
        "ab" * 32,
        "not set",
        "map learned",
        "1.50 s",
        "EPSG:32631",
        "220 × 180 px",
    ):
        assert text in page


def test_rendering_is_deterministic(make_registration):
    assert render_report(make_registration()) == render_report(make_registration())


def test_report_replaces_an_older_one(make_registration, tmp_path):
    out = tmp_path / "report.html"
    out.write_text("old", encoding="utf-8")
    write_report(make_registration(), out)
    assert "Accepted" in out.read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_missing_folder_is_one_clear_error(make_registration, tmp_path):
    with pytest.raises(OutputError, match="nowhere"):
        write_report(make_registration(), tmp_path / "nowhere" / "report.html")


def test_a_large_scene_stays_under_the_limit(make_registration, tmp_path):
    from midground.core.image import Image

    found = make_registration()
    noise = np.random.default_rng(1).random((3, 1400, 1400))
    image = Image.from_array(noise)
    grey = Image.from_array(noise[0])
    previews = replace(
        found.previews, fixed=image, moving_before=grey, moving_after=grey, shared_fixed=image, shared_moving=image
    )
    out = tmp_path / "report.html"
    write_report(replace(found, previews=previews), out)
    assert out.stat().st_size < 6_000_000
