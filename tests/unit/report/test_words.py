from __future__ import annotations

from dataclasses import replace

import pytest

from midground.report import words


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(1.234, 2, "1.23"), (-0.5, 1, "−0.5"), (-0.001, 2, "0.00"), (None, 2, "–"), (float("nan"), 2, "–")],
)
def test_decimal(value, digits, text):
    assert words.decimal(value, digits) == text


@pytest.mark.parametrize(("value", "text"), [(0.456, "0.46 m"), (6.2, "6.2 m"), (123.4, "123 m"), (None, "–")])
def test_metres(value, text):
    assert words.metres(value) == text


@pytest.mark.parametrize(("share", "text"), [(0.9999, ">99%"), (0.97, "97%"), (0.0, "<1%")])
def test_trust_is_never_certainty(share, text):
    assert words.trust(share) == text


@pytest.mark.parametrize(
    ("shift_m", "detail", "bearing"),
    [((10.0, 0.0), "10.0 m east, 0.00 m north", 90), ((0.0, -5.0), "0.00 m east, 5.0 m south", 180)],
)
def test_shift_is_put_as_compass_directions(make_registration, shift_m, detail, bearing):
    shift = words.key_numbers(replace(make_registration(), shift_m=shift_m))[0]
    assert shift.detail == detail
    assert shift.bearing_deg == pytest.approx(bearing)


def test_every_verdict_says_what_to_do(make_registration):
    steps = {verdict: words.next_steps(make_registration(verdict)) for verdict in words.VERDICT_WORDS}
    assert any("0.6 px (6.2 m)" in step for step in steps["accept"])
    assert any("--strict" in step for step in steps["suspect"])
    assert any("more than 500 m" in step for step in steps["reject"])
    assert not any("500 m" in step for step in words.next_steps(make_registration("reject", crs=None)))


def test_settings_are_flattened():
    config = {"a": {"b": (1, 2), "c": None}, "d": True, "e": ()}
    assert words.flattened(config) == [("a.b", "1, 2"), ("a.c", "not set"), ("d", "yes"), ("e", "none")]


def test_names_of_files_and_arrays(make_registration):
    info = make_registration().inputs.moving
    assert words.name_of(info, "moving") == "S1A_VH.tif"
    assert words.name_of(replace(info, path="C:\\data\\s1.tif"), "moving") == "s1.tif"
    assert words.name_of(replace(info, path=None), "moving") == "moving array"
