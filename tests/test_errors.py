from __future__ import annotations

import pickle

import pytest

from descentlab import errors
from descentlab.errors import DescentError, Interrupted, Preempted, SettingError, nearest

EXIT_CODES = {
    "ConfigError": 2,
    "DataError": 3,
    "StorageError": 4,
    "CorruptError": 5,
    "BusyError": 6,
    "FailedRuns": 7,
    "NonConforming": 8,
    "Paused": 0,
}


@pytest.mark.parametrize(("name", "code"), EXIT_CODES.items())
def test_each_kind_of_error_has_its_exit_code(name, code):
    assert getattr(errors, name)("why").exit_code == code


def test_no_kind_of_error_is_missing_from_the_table():
    kinds = {kind.__name__ for kind in DescentError.__subclasses__()}
    assert kinds == {*EXIT_CODES, "Interrupted"}


@pytest.mark.parametrize(("signal_number", "code"), [(2, 130), (15, 143)])
def test_an_interruption_exits_as_shells_count_signals(signal_number, code):
    assert Interrupted("stopped", signal_number).exit_code == code


@pytest.mark.parametrize(
    "error",
    [
        *(getattr(errors, name)("why") for name in EXIT_CODES),
        SettingError("a.toml", "optimizer.lr", "got -1"),
        Interrupted("stopped", 2),
        Preempted("saved", 15),
    ],
    ids=lambda error: type(error).__name__,
)
def test_another_process_gets_the_whole_error(error):
    """As those that torchrun started do, of what the first one raised."""
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (str(again), vars(again)) == (str(error), vars(error))
    assert again.exit_code == error.exit_code


def test_a_configuration_error_is_a_value_error():
    assert isinstance(errors.ConfigError("why"), ValueError)


def test_an_error_shows_its_message():
    assert str(Interrupted("stopped between two steps", 2)) == "stopped between two steps"


@pytest.mark.parametrize(
    ("given", "allowed", "expected"),
    [
        ("sginum", ["sgd", "signum"], "did you mean signum? Allowed are sgd, signum"),
        ("adagrad", ["signum", "sgd"], "allowed are sgd, signum"),
        ("lr", [], "all are refused here"),
    ],
)
def test_nearest_names_what_was_meant_and_lists_what_is_allowed(given, allowed, expected):
    assert nearest(given, allowed) == expected
