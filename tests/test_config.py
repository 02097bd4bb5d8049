from __future__ import annotations

import copy
import math
import tomllib
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descentlab.config import override, read_toml, set_path
from descentlab.errors import ConfigError
from descentlab.train.spec import run_spec

VALID: dict[str, Any] = {
    "model": {"layers": 1, "heads": 2, "width": 32, "vocabulary": 257},
    "data": {"corpus": "sotu", "tokenizer": "byte", "sequence_length": 16},
    "optimizer": {"method": "adam", "lr": 1e-3, "beta1": 0.9, "beta2": 0.95},
    "schedule": {"warmup": 0.1, "floor": 1e-5, "floor_unit": "absolute"},
    "training": {"steps": 3, "batch_size": 2},
    "execution": {"device": "cpu"},
    "seed": 0,
}
TABLES = [name for name, value in VALID.items() if isinstance(value, dict)]


def changed(key: str, value: object) -> dict[str, Any]:
    spec = copy.deepcopy(VALID)
    set_path(spec, key, value)
    return spec


def refusal(spec: dict[str, Any]) -> str:
    """What is said when a spec is refused."""
    with pytest.raises(ConfigError) as error:
        run_spec(spec, where="spec.toml")
    assert error.value.exit_code == 2
    return str(error.value)


# Settings files


def test_a_settings_file_reads_as_toml(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text('name = "é"\n[optimizer]\nlr = 3e-3\n', encoding="utf-8")
    assert read_toml(path) == {"name": "é", "optimizer": {"lr": 0.003}}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a = 1 #" + b"x" * 65_530, "64 KiB"),
        (b'a = "\xff"', "byte 5 is not UTF-8"),
        (b"a = ", "not TOML"),
        (b"a = 1\na = 2", "not TOML"),
        (b"a = " + b"[" * 20_000, "nested too deeply"),
        (b"a = " + b"{a=" * 9_000, "nested too deeply"),
        (b"a = " + b"9" * 5_000, "not TOML"),
    ],
    ids=["large", "latin-1", "half", "twice", "lists", "tables", "digits"],
)
def test_a_bad_settings_file_is_named_with_the_reason(tmp_path, content, reason):
    path = tmp_path / "spec.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"^{path}: .*{reason}") as error:
        read_toml(path)
    assert error.value.exit_code == 2


def test_a_settings_file_may_have_64_kib(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_bytes(b"a = 1 #".ljust(65_536, b"x"))
    assert read_toml(path) == {"a": 1}


@pytest.mark.parametrize("name", ["missing.toml", ""])
def test_a_settings_file_that_cannot_be_read_is_named(tmp_path, name):
    with pytest.raises(ConfigError, match=f"^{tmp_path / name}: cannot be read"):
        read_toml(tmp_path / name)


# Building a spec


def test_a_valid_spec_is_built_as_written():
    built = msgspec.to_builtins(run_spec(VALID, where="spec.toml"))
    assert all(built[table].items() >= VALID[table].items() for table in TABLES)


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("optimzer", "optimizer"),
        ("model.widht", "width"),
        ("data.tokeniser", "tokenizer"),
        ("optimizer.wieght_decay", "weight_decay"),
        ("schedule.warm_up", "warmup"),
        ("training.step", "steps"),
    ],
)
def test_an_unknown_key_is_named_in_full_with_the_nearest(key, meant):
    assert refusal(changed(key, 1)).startswith(
        f"spec.toml: {key}: unknown setting; did you mean {meant}? Allowed are "
    )


def test_an_unknown_key_lists_what_its_own_method_allows():
    spec = changed("optimizer", {"method": "signsgd", "lr": 1e-3, "momentum": 0.9})
    message = refusal(spec)
    assert "allowed are clip_norm, decay, lr, " in message
    assert "beta" not in message


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("signnum", "no method is called 'signnum'; did you mean signum?"),
        (3, "no method is called 3; allowed are adam, "),
        (["adam"], "no method is called ['adam']"),
    ],
    ids=str,
)
def test_an_unknown_method_is_named_with_the_nearest(method, expected):
    assert refusal(changed("optimizer.method", method)).startswith(
        f"spec.toml: optimizer.method: {expected}"
    )


def test_an_unknown_size_is_named_with_the_nearest():
    message = refusal(changed("model", {"size": "laptp"}))
    assert message.startswith("spec.toml: model.size: no size is called 'laptp'; did you mean lap")


@pytest.mark.parametrize(("table", "name"), [("model", "width"), ("optimizer", "lr")])
def test_a_missing_setting_is_named(table, name):
    spec = copy.deepcopy(VALID)
    del spec[table][name]
    assert refusal(spec) == f"spec.toml: {table}: missing the setting {name}"


def test_a_missing_method_lists_the_methods():
    message = refusal(changed("optimizer", {"lr": 1e-3}))
    assert message.startswith("spec.toml: optimizer.method: is missing; allowed are adam, ")


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("optimizer.lr", math.inf, "Expected float <= "),
        ("optimizer.lr", math.nan, "Expected float > 0.0"),
        ("optimizer.lr", 0, "Expected float > 0.0"),
        ("optimizer.lr", -1e-3, "Expected float > 0.0"),
        ("optimizer.lr", "3e-3", "Expected float, got str"),
        ("optimizer.lr", True, "Expected float, got bool"),
        ("optimizer.beta1", 1, "Expected float < 1.0"),
        ("training.steps", 0, "Expected int >= 1"),
        ("training.steps", 2.0, "Expected int, got float"),
        ("training.steps", 10**30, "Expected int <= "),
        ("data.corpus", 7, "Expected str, got int"),
        ("seed", -1, "Expected int >= 0"),
        ("model", [1], "Expected object, got array"),
        ("schedule.floor_unit", "percent", "absolute, fraction"),
        ("execution.device", "gpu", "auto, cpu, cuda"),
    ],
    ids=str,
)
def test_a_bad_value_is_named_with_its_key_and_what_is_allowed(key, value, rule):
    message = refusal(changed(key, value))
    assert message.startswith(f"spec.toml: {key}: ")
    assert rule in message
    assert repr(value) in message


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("optimizer.beta", 0.9, "either beta, or beta1 and beta2"),
        ("model.heads", 3, "multiples of 3"),
        ("data", {"tokenizer": "bpe", "vocabulary": 256}, "at least 257"),
        ("data", {"tokenizer": "bpe", "vocabulary": 300}, "do not fit a model.vocabulary of 257"),
        ("data.vocabulary", 257, "leave it out"),
        ("schedule.floor", 2e-3, "above the peak of 0.001"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(key, value, rule):
    message = refusal(changed(key, value))
    assert message.startswith("spec.toml: ")
    assert rule in message


@pytest.mark.parametrize("value", [10**400, "x" * 60_000, 16**5000, [[]] * 10_000], ids=type)
def test_a_huge_value_is_not_shown_whole(value):
    assert len(refusal(changed("training.steps", value))) < 500


# Anything at all

keys = (
    st.sampled_from([*VALID, "model.size"])
    | st.sampled_from([f"{table}.{name}" for table in TABLES for name in VALID[table]])
    | st.builds("{}.{}".format, st.sampled_from(TABLES), st.text())
)
numbers = st.integers() | st.floats() | st.sampled_from([10**400, -(2**63), 2**64, 1e308])
values = st.none() | st.booleans() | numbers | st.text()
junk = values | st.lists(values) | st.dictionaries(st.text(), values | st.lists(values))


def first_word_of_refusal(spec: dict[str, Any]) -> str | None:
    try:
        run_spec(spec, where="spec.toml")
    except ConfigError as error:
        return str(error).split()[0]
    return None


@given(st.dictionaries(keys, junk, min_size=1, max_size=3))
@settings(deadline=None, max_examples=600)
def test_a_malformed_spec_is_refused_in_words(changes):
    spec = copy.deepcopy(VALID)
    for key, value in changes.items():
        table, dot, name = key.partition(".")
        place = spec.get(table) if dot else spec
        if isinstance(place, dict):
            place[name if dot else table] = value
    assert first_word_of_refusal(spec) in (None, "spec.toml:")


@given(keys, st.integers(1, 3000), st.booleans())
@settings(deadline=None)
def test_a_deep_spec_is_refused_in_words(key, depth, in_lists):
    value: object = 1
    for _ in range(depth):
        value = [value] if in_lists else {"a": value}
    assert first_word_of_refusal(changed(key, value)) in (None, "spec.toml:")


# Overriding


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("optimizer.lr=3e-3", {"optimizer": {"lr": 0.003, "beta": 0.9}}),
        ("schedule.warmup=0", {"optimizer": {"lr": 0.1, "beta": 0.9}, "schedule": {"warmup": 0}}),
    ],
)
def test_an_assignment_sets_only_what_its_dotted_key_names(assignment, expected):
    assert override({"optimizer": {"lr": 0.1, "beta": 0.9}}, [assignment]) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("1e-3", 0.001),
        ("true", True),
        ("[1, 2]", [1, 2]),
        ('"3"', "3"),
        ("adam", "adam"),
        ("a=b", "a=b"),
        ("", ""),
        ("1\nother = 2", "1\nother = 2"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_a_value_is_toml_or_else_text(text, value):
    assert override({}, [f"key={text}"]) == {"key": value}


@given(st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.booleans())
@settings(deadline=None)
def test_numbers_are_read_as_toml_reads_them(number):
    text = str(number).lower()
    assert override({}, [f"key={text}"])["key"] == tomllib.loads(f"key = {text}")["key"] == number


def test_the_last_assignment_stands():
    assert override({}, ["a.b=1", "a.c=2", "a.b=3"]) == {"a": {"b": 3, "c": 2}}


@pytest.mark.parametrize("assignment", ["lr", "=3", ".lr=3", "optimizer..lr=3", ""])
def test_what_is_not_an_assignment_is_refused(assignment):
    with pytest.raises(ConfigError, match="key=value"):
        override({}, [assignment])


def test_a_key_through_a_value_is_refused():
    with pytest.raises(ConfigError, match=r"^optimizer.lr.max: lr is a value"):
        override({"optimizer": {"lr": 0.1}}, ["optimizer.lr.max=3"])


def test_overriding_leaves_its_input_alone():
    given_settings = copy.deepcopy(VALID)
    override(given_settings, ["optimizer.lr=9", "schedule.floor=9", "seed=9", "new.key=9"])
    assert given_settings == VALID
