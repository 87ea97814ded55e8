"""Settings as plain values, and where they differ."""

from pathlib import Path

from midground.core.settings import differences, plain


def test_differences_are_dotted_keys():
    assert differences({"a": 1, "b": {"c": 2, "d": 3}}, {"a": 1, "b": {"c": 4, "d": 3}, "e": 5}) == ["b.c", "e"]


def test_tuples_become_lists_and_paths_texts():
    assert plain({"a": (1, 2), "b": {"c": Path("d")}}) == {"a": [1, 2], "b": {"c": "d"}}
