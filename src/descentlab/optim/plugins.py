"""Classes by name: descentlab's own by their bare names, anyone's as ``pkg.mod:Class``."""

from __future__ import annotations

import ast
import difflib
import importlib
import inspect
import os
import pkgutil
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from descentlab import optim
from descentlab.errors import ConfigError, nearest


def load_class(path: str, *, folder: str | None = None) -> type:
    """Import a class.

    Modules of the current directory can be named as if Python had been started there.

    Args:
        path: ``pkg.mod:Class``, ``pkg.mod.Class``, ``file.py:Class``, or the name of one of
            descentlab's optimizers in any case, as in ``Adam`` or ``adam``.
        folder: another one whose modules can be named, and where the file may lie.

    Raises:
        ConfigError: if there is no such module or class, with the nearest name, or if the
            module fails to import, with its reason.

    >>> load_class("collections:OrderedDict")
    <class 'collections.OrderedDict'>
    """
    if folder is not None:
        _search(folder)
    if ".py:" in path:
        return _of_file(path, folder)
    if not {":", "."} & set(path):
        return _own(path)
    module_name, colon, name = path.partition(":")
    if not colon:
        module_name, _, name = path.rpartition(".")
    if not all(part.isidentifier() for part in (*module_name.split("."), name)):
        raise ConfigError(
            f"{path!r} does not name a class; write pkg.mod:Class, as in torch.optim:AdamW"
        )
    module = _import(module_name, path)
    found = getattr(module, name, None)
    if found is None:
        hint = _hint(name, _class_names(module))
        raise ConfigError(f"{path}: module {module_name} has no class {name!r}{hint}")
    if not isinstance(found, type):
        kind = type(found).__name__
        raise ConfigError(f"{path}: {name} is a {kind}, not a class; name the class itself")
    return found


def module_path(path: str) -> str:
    """The name of a class without the folder that its file lies in.

    >>> module_path("mine/lion.py:Lion"), module_path("torch.optim.Muon")
    ('lion:Lion', 'torch.optim:Muon')
    """
    if ".py:" in path:
        file, _, name = path.rpartition(":")
        return f"{Path(file).stem}:{name}"
    module, _, name = path.rpartition(":" if ":" in path else ".")
    return f"{module}:{name}" if module else name


def _of_file(path: str, folder: str | None) -> type:
    """A class of a file, whose neighbours it may import."""
    given, _, name = path.rpartition(":")
    places = [Path(given), *([Path(folder) / Path(given).name] if folder else [])]
    file = next((each for each in places if each.is_file()), None)
    if file is None:
        near = [str(each) for each in Path(given).parent.glob("*.py")]
        close = difflib.get_close_matches(given, near, n=1, cutoff=0.5)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ConfigError(f"{path}: there is no file {given}{hint}")
    if not file.stem.isidentifier():
        raise ConfigError(f"{path}: {file.name} is no name that Python can import; rename the file")
    _search(str(file.parent.resolve()))
    found = load_class(f"{file.stem}:{name}")
    origin = getattr(sys.modules[file.stem], "__file__", None) or "built into Python"
    if Path(origin).resolve() != file.resolve():
        raise ConfigError(
            f"{path}: another module is called {file.stem} ({origin}); rename the file"
        )
    return found


def load_factory(text: str) -> partial[Any]:
    """Import a class with the arguments to make it with.

    Args:
        text: as ``class_and_arguments`` takes it.

    Raises:
        ConfigError: as that and ``load_class`` do, and for arguments that the class does not
            know.

    >>> load_factory("fractions:Fraction,numerator=3,denominator=6")()
    Fraction(1, 2)
    """
    path, values = class_and_arguments(text)
    kind = load_class(path)
    check_arguments(kind, values, text)
    return partial(kind, **values)


def class_and_arguments(text: str) -> tuple[str, dict[str, Any]]:
    """Read a class with arguments.

    Args:
        text: a class as ``load_class`` takes it, then ``,argument=value`` as in Python;
            a bare word is text, and ``true`` and ``false`` are as in TOML.

    Raises:
        ConfigError: for arguments that are not so written.

    >>> class_and_arguments("torch.optim:AdamW,betas=(0.9,0.95),fused=true")
    ('torch.optim:AdamW', {'betas': (0.9, 0.95), 'fused': True})
    """
    path, _, arguments = text.partition(",")
    try:
        call = ast.parse(f"f({arguments})", mode="eval").body
        return path.strip(), _keywords(call)
    except (ValueError, SyntaxError):
        raise ConfigError(
            f"{text}: after {path} stand arguments as in {path},lr=1e-3,betas=(0.9,0.99); "
            f"got {arguments!r}"
        ) from None


def check_arguments(kind: type, values: Iterable[str], where: str) -> None:
    """Refuse arguments that a class's constructor does not have.

    Raises:
        ConfigError: with the nearest that it has.
    """
    known = inspect.signature(kind.__init__).parameters
    allowed = set(known) - {"self", "params"}
    if not any(each.kind is inspect.Parameter.VAR_KEYWORD for each in known.values()):
        for name in sorted({*values} - allowed):
            raise ConfigError(f"{where}: unknown argument {name!r}; {nearest(name, allowed)}")


def _keywords(call: ast.expr) -> dict[str, Any]:
    """The arguments of ``f(name=literal, …)``; ValueError for anything else."""
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
        raise ValueError
    values = {each.arg: _literal(each.value) for each in call.keywords if each.arg}
    if len(values) < len(call.keywords):  # a name twice, or **
        raise ValueError
    return values


def _literal(node: ast.expr) -> object:
    if isinstance(node, ast.Name):
        return {"true": True, "false": False}.get(node.id, node.id)
    return ast.literal_eval(node)


def _own(name: str) -> type:
    """One of descentlab's optimizers, in any case."""
    by_name = {each.lower(): each for each in optim.__all__ if each not in optim.FOR_GROUPS}
    if name.lower() not in by_name:
        raise ConfigError(
            f"descentlab has no optimizer called {name!r}; {nearest(name, by_name.values())}; "
            "write any other as pkg.mod:Class"
        )
    return getattr(optim, by_name[name.lower()])


def _search(folder: str) -> None:
    if folder not in sys.path:
        sys.path.insert(0, folder)  # for good: the module may import its neighbours later


def _import(module_name: str, path: str) -> ModuleType:
    _search(os.getcwd())
    importlib.invalidate_caches()
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing != module_name and not module_name.startswith(f"{missing}."):
            raise ConfigError(
                f"{path}: module {module_name} needs {missing}, which is not installed"
            ) from None
        parent, _, last = missing.rpartition(".")
        hint = _hint(last, _module_names(parent), prefix=f"{parent}." if parent else "")
        raise ConfigError(f"{path}: no module is called {missing!r}{hint}") from None
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(f"{path}: module {module_name} cannot be imported ({reason})") from None


def _hint(name: str, names: Iterable[str], *, prefix: str = "") -> str:
    """The nearest name alone; a module may hold hundreds."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"; did you mean {prefix}{close[0]}?" if close else ""


def _class_names(module: ModuleType) -> list[str]:
    return [name for name, _ in inspect.getmembers(module, inspect.isclass)]


def _module_names(parent: str) -> list[str]:
    """What can be imported from a package, or at the top."""
    locations = getattr(sys.modules[parent], "__path__", []) if parent else None
    return [module.name for module in pkgutil.iter_modules(locations)]
