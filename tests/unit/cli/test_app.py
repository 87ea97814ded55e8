import re
from collections.abc import Callable

import pytest

from midground.cli import app
from midground.errors import ConfigError, DependencyError, InputError, MidgroundError, ModelError, NoConsensusError

Complaint = Callable[..., str]


@pytest.fixture
def complaint(capsys: pytest.CaptureFixture[str]) -> Complaint:
    """Run a command that fails, and give the one line it leaves on standard error."""

    def run(*words: str, code: int = 2) -> str:
        assert app.main(words) == code
        captured = capsys.readouterr()
        assert captured.out == ""
        (line,) = captured.err.splitlines()
        assert line.startswith("midground: ")
        return line

    return run


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["registre"], r"No such command 'registre'. Did you mean 'register'\?"),
        (["register", "a.tif"], "Missing argument 'MOVING'; see 'midground register --help'."),
        (["register", "a.tif", "b.tif", "--transfrom", "affine"], "--transform"),
        (["register", "a.tif", "b.tif", "--search", "far"], "--search.*valid"),
        (["register", "a.tif", "b.tif", "--transform", "afine"], "Did you mean 'affine'?"),
        (["register", "a.tif", "b.tif", "--onto", "fixd"], "Did you mean 'fixed'?"),
        (["register", "a.tif", "b.tif", "--resampling", "cubical"], "Did you mean 'cubic'?"),
        (["register", "a.tif", "b.tif", "--moving-modality", "sarr"], "Did you mean 'sar'?"),
        (["register", "a.tif", "b.tif", "--sar-scale", "decibel"], "Did you mean 'db'|Known"),
        (["register", "a.tif", "b.tif", "--bands-fixed", "red"], "--bands-fixed takes band numbers"),
        (["simulate", "--out-dir", "x", "--shift", "3"], "--shift takes metres east and north"),
        (["simulate", "--out-dir", "x", "--seed", "-1"], "--seed"),
    ],
)
def test_wrong_words_are_refused_in_one_line(complaint: Complaint, words: list[str], message: str) -> None:
    assert re.search(message, complaint(*words))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("a.tif: there is\nno such file."), 2),
        (ConfigError("Unknown matcher."), 2),
        (ModelError("the sha256 differs."), 2),
        (DependencyError("XFeat", extra="matchers"), 2),
        (NoConsensusError("No transform."), 3),
        (MidgroundError("Something else."), 2),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("division by zero"), 1),
    ],
)
def test_exit_codes(complaint: Complaint, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("midground.simulate.scene.simulate_scene_pair", fail)
    line = complaint("simulate", "--out-dir", "never", code=code)
    if isinstance(error, MidgroundError):
        assert line == f"midground: {' '.join(str(error).split())}"


@pytest.mark.parametrize("error", [InputError("a.tif"), ZeroDivisionError()])
def test_debug_shows_where(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("midground.simulate.scene.simulate_scene_pair", fail)
    with pytest.raises(type(error)):
        app.main(["simulate", "--out-dir", "never", "--debug"])


@pytest.mark.parametrize(
    ("error", "quoted"),
    [
        (ZeroDivisionError("division by zero"), "(ZeroDivisionError: division by zero)"),
        (RuntimeError("\nthe compiler failed:\n" + "much\n" * 300), "(RuntimeError: the compiler failed: …)"),
        (RuntimeError("x" * 9000), f"(RuntimeError: {'x' * 240} …)"),
        (AssertionError(), "(AssertionError)"),
    ],
)
def test_what_an_unexpected_error_says_is_cut(
    complaint: Complaint, monkeypatch: pytest.MonkeyPatch, error: Exception, quoted: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("midground.simulate.scene.simulate_scene_pair", fail)
    line = complaint("simulate", "--out-dir", "never", code=1)
    assert line == f"midground: This is a defect of midground {quoted}; --debug shows where."


def test_no_command_shows_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main([]) == 2
    captured = capsys.readouterr()
    assert "register" in captured.out
    assert captured.err == ""
