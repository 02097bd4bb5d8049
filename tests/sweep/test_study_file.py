"""Studies from files: TOML and Python, whole ones and broken ones."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from descentlab.errors import ConfigError
from descentlab.sweep.study import Study
from descentlab.sweep.study_file import read_study

HEAD = """
from descentlab.sweep.axes import halving_one_minus
from descentlab.sweep.study import Method, Study
"""


def written(path: Path, text: str) -> Path:
    path.write_text(HEAD + textwrap.dedent(text))
    return path


def test_python_and_toml_say_the_same(tmp_path):
    python = written(
        tmp_path / "betas.py",
        """
        import numpy

        study = Study(
            name="betas",
            run={"optimizer": {"weight_decay": numpy.float64(0.5)}},
            zip=[{"a": (1, 2), "b": range(2)}],
            methods={"adam": Method(axes={"optimizer.beta": halving_one_minus(0.8, 0.9)})},
            axes={"c": numpy.arange(2)},
            seeds=[0, 1],
        )
        """,
    )
    toml = tmp_path / "betas.toml"
    toml.write_text(
        """
        name = "betas"
        seeds = 2
        zip = [{a = [1, 2], b = [0, 1]}]
        run.optimizer.weight_decay = 0.5
        axes.c = [0, 1]
        methods.adam.axes = {"optimizer.beta" = {halving_one_minus = [0.8, 0.9]}}
        """
    )
    assert read_study(python) == read_study(toml)
    assert type(read_study(python).run["optimizer"]["weight_decay"]) is float


def test_a_function_is_called_and_a_colon_names_another(tmp_path):
    path = written(
        tmp_path / "two.py",
        """
        def study():
            return named("first")

        def second():
            return named("second")

        def named(name):
            return Study(name=name, run={})
        """,
    )
    assert read_study(path) == Study(name="first", run={})
    assert read_study(f"{path}:second").name == "second"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("studdy = Study(name='s', run={})", "has no study; did you mean studdy?"),
        ("", "has no study"),
        ("study = 3", "study is 3; it must be a Study"),
        ("study = Study(name='s')", "line 5: TypeError: Missing required argument 'run'"),
        ("study = Study(name=3, run={})", "name: Expected str, got int"),
        ("study = Study(name='s', run={}, axes={'a': []})", "axes.a: has no values"),
        ("study = Study(name='s', run={}, axes={'a': [None]})", "None is no setting"),
        ("study = Study(name='s', run={}, axes={'a': 3})", "line 5: TypeError"),
        ("study = Study(name='s', run=3)", "run: Expected object, got int"),
        ("x = 1\nstudy = x / 0", "line 6: ZeroDivisionError: division by zero"),
        ("study = (", "line 5: SyntaxError"),
        ("import nothing_of_this_name", "line 5: ModuleNotFoundError"),
        ("raise SystemExit(3)", "line 5: SystemExit: 3"),
        ("def study():\n    raise ValueError('two\\nlines')", "line 6: ValueError: two"),
        ("study = lambda x: x", "TypeError"),
    ],
)
def test_a_python_file_that_is_no_study_is_refused(text, message, tmp_path):
    path = tmp_path / "broken.py"
    path.write_text(f"{HEAD}\n{text}\n")
    with pytest.raises(ConfigError) as caught:
        read_study(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["none.py", "none.py:study", "none.toml", "folder.py"])
def test_a_file_that_cannot_be_read_is_refused(name, tmp_path):
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(ConfigError, match=r"(none|folder)\.\w+: "):
        read_study(tmp_path / name)
