import pytest

from midground import errors


@pytest.mark.parametrize(
    ("error", "bases"),
    [
        (errors.ConfigError, (errors.MidgroundError, ValueError)),
        (errors.InputError, (errors.MidgroundError, ValueError)),
        (errors.OutputError, (errors.MidgroundError, OSError)),
        (errors.ModelError, (errors.MidgroundError,)),
        (errors.DependencyError, (errors.MidgroundError, ImportError)),
        (errors.RegistrationError, (errors.MidgroundError,)),
        (errors.TooFewMatchesError, (errors.RegistrationError,)),
        (errors.NoConsensusError, (errors.RegistrationError,)),
    ],
)
def test_tree(error, bases):
    assert all(issubclass(error, base) for base in bases)
    assert error.__name__ in errors.__doc__


def test_a_missing_extra_names_the_pip_command():
    error = errors.DependencyError("The matcher 'xfeat'", extra="matchers")

    assert str(error) == ("The matcher 'xfeat' needs an extra that is not installed: pip install 'midground[matchers]'")
    assert error.extra == "matchers"


def test_a_failed_registration_carries_what_was_counted():
    counted = {"n_matches": 2}
    error = errors.TooFewMatchesError("2 matches, 3 needed.", diagnostics=counted)
    counted["n_matches"] = 9

    assert error.diagnostics == {"n_matches": 2}
    assert errors.RegistrationError("nothing").diagnostics == {}
    with pytest.raises(TypeError):
        error.diagnostics["n_matches"] = 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("shift", "Unknown matcher 'shift'. Did you mean 'sift'? Known: roma, sift, xfeat."),
        ("zzzzzz", "Unknown matcher 'zzzzzz'. Known: roma, sift, xfeat."),
        ("", "Unknown matcher ''. Known: roma, sift, xfeat."),
    ],
)
def test_an_unknown_name_lists_the_known_ones_and_offers_the_nearest(name, message):
    error = errors.unknown_name("matcher", name, {"xfeat": 1, "sift": 2, "roma": 3})

    assert isinstance(error, errors.ConfigError)
    assert str(error) == message
