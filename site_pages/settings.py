"""The page of all settings, from the structs that check them and the docstrings of their fields."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any, get_args

import msgspec
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from msgspec import inspect as kinds

from descentlab.model.spec import SIZES
from descentlab.optim.methods import AnyMethod
from descentlab.sweep.study import Method, Study
from descentlab.train.spec import RunSpec

PAGE = "reference/settings.md"

BEGINNING = f"""# Settings

What a spec file or a study may say: each setting with its type, its default and its meaning. A
setting without a default has to be given. `key=value` on the command line replaces any of them, as
in `optimizer.lr=4e-3`; what is misspelt or out of range ends with exit code 2 and the nearest valid
name.

## A run

A spec of `descent train`, and the table `[run]` of a study. Two keys stand for several settings:
`conventions` at the top, `"descentlab"` or `"paper"`, and `size` in `[model]`, one of
{", ".join(f"`{name}`" for name in SIZES)}. What the spec says itself wins over both.
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page."""
    files.append(File.generated(config, PAGE, content="\n".join([BEGINNING, *sections()])))
    return files


def sections() -> Iterator[str]:
    """A table of each struct: the run, its tables, every method, the study."""
    yield table(RunSpec)
    for name, struct in tables_of(RunSpec):
        yield f"### [{name}]\n\n{first_line(struct)}\n\n{table(struct)}"
    for struct in get_args(AnyMethod):
        tag = struct.__struct_config__.tag
        if isinstance(tag, str):
            heading = f'### [optimizer] method = "{tag}"'
            yield f"{heading}\n\n{first_line(struct)}\n\n{table(struct)}"
    yield f"## A study\n\n{first_line(Study)}\n\n{table(Study)}"
    yield f"### [methods.NAME]\n\n{first_line(Method)}\n\n{table(Method)}"


def tables_of(struct: type[msgspec.Struct]) -> Iterator[tuple[str, type[msgspec.Struct]]]:
    """The settings of a struct that are tables of a single kind."""
    for field in fields(struct):
        options = field.type.types if isinstance(field.type, kinds.UnionType) else (field.type,)
        structs = [each.cls for each in options if isinstance(each, kinds.StructType)]
        if len(structs) == 1:
            yield field.encode_name, structs[0]


def table(struct: type[msgspec.Struct]) -> str:
    """The settings of a struct as a table of Markdown."""
    meanings = documented(struct)
    rows = [
        (f"`{each.encode_name}`", written(each.type), default(each), meanings[each.name])
        for each in fields(struct)
    ]
    lines = ["| setting | type | default | meaning |", "|---|---|---|---|"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def fields(struct: type[msgspec.Struct]) -> tuple[kinds.Field, ...]:
    """The settings of a struct."""
    described = kinds.type_info(struct)
    assert isinstance(described, kinds.StructType)
    return described.fields


def documented(struct: type[msgspec.Struct]) -> dict[str, str]:
    """What the docstrings below a struct's fields say, those of its bases included.

    Raises:
        ValueError: if a field has none.
    """
    found: dict[str, str] = {}
    for each in reversed(struct.__mro__):
        if issubclass(each, msgspec.Struct) and each is not msgspec.Struct:
            found |= _attribute_docstrings(each)
    for field in struct.__struct_fields__:
        if field not in found:
            raise ValueError(f"{struct.__name__}.{field} needs a docstring that says what it means")
    return found


def _attribute_docstrings(struct: type) -> dict[str, str]:
    (made,) = ast.parse(textwrap.dedent(inspect.getsource(struct))).body
    assert isinstance(made, ast.ClassDef)
    pairs = zip(made.body, made.body[1:], strict=False)
    return {
        first.target.id: " ".join(second.value.value.split()).replace("``", "`")
        for first, second in pairs
        if isinstance(first, ast.AnnAssign)
        and isinstance(first.target, ast.Name)
        and isinstance(second, ast.Expr)
        and isinstance(second.value, ast.Constant)
        and isinstance(second.value.value, str)
    }


def first_line(struct: type) -> str:
    """The first paragraph of a docstring."""
    return inspect.cleandoc(struct.__doc__ or "").partition("\n\n")[0].replace("``", "`")


def written(kind: kinds.Type) -> str:
    """A type in the words of a settings file.

    >>> import msgspec, typing
    >>> written(msgspec.inspect.type_info(typing.Annotated[float, msgspec.Meta(ge=0, lt=1)] | None))
    'number, ≥ 0, < 1'
    """
    match kind:
        case kinds.UnionType():
            options = [written(each) for each in kind.types if not isinstance(each, kinds.NoneType)]
            return " or ".join(dict.fromkeys(options))
        case kinds.LiteralType():
            return ", ".join(f"`{msgspec.json.encode(each).decode()}`" for each in kind.values)
        case kinds.IntType():
            return "whole number" + _bounds(kind)
        case kinds.FloatType():
            return "number" + _bounds(kind)
        case kinds.BoolType():
            return "`true`, `false`"
        case kinds.StrType():
            return "text"
        case kinds.ListType() | kinds.VarTupleType():
            return f"list of {written(kind.item_type)}"
        case kinds.DictType() | kinds.StructType():
            return "table"
    return "any"


def _bounds(kind: kinds.IntType | kinds.FloatType) -> str:
    """The limits that a person would come to; those that keep numbers finite are left out."""
    limits = {"≥": kind.ge, ">": kind.gt, "≤": kind.le, "<": kind.lt}
    return "".join(
        f", {sign} {limit:g}"
        for sign, limit in limits.items()
        if limit is not None and abs(limit) < 2**31
    )


def default(field: kinds.Field) -> str:
    """What a setting is if it is left out."""
    value: Any = field.default
    if field.default_factory is not msgspec.NODEFAULT:
        value = field.default_factory()
    if value is msgspec.NODEFAULT:
        return ""
    if isinstance(value, msgspec.Struct):
        return "as below"
    return "none" if value is None else f"`{msgspec.json.encode(value).decode()}`"
