"""``descent examples``: specs, studies and scripts to begin with, where there is no checkout."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Annotated

import tyro

from descentlab.errors import ConfigError, nearest


def examples(
    name: Annotated[str, tyro.conf.Positional] = "",
    *,
    copy: Path | None = None,
) -> None:
    """Print an example, as in descent examples train > train.toml; without a name, list them.

    Those that are Python scripts may need pip install 'descentlab[examples]', and some import or
    read one another: --copy FOLDER copies all.

    Args:
        name: of the file, with or without its ending.
        copy: a folder to copy all of them into; files that are there are left alone.
    """
    from descentlab.storage import storage_errors

    found = {path.name: path for path in sorted(folder().iterdir()) if path.is_file()}
    if copy is not None:
        if name:
            raise ConfigError(f"--copy: copies all examples; leave {name} out")
        with storage_errors(copy):
            copy.mkdir(parents=True, exist_ok=True)
            new = [path for path in found.values() if not (copy / path.name).exists()]
            for path in new:
                shutil.copy(path, copy)
        print(f"{copy}: {len(new)} examples, {len(found) - len(new)} were there")
    elif name:
        print(_named(name, found).read_text(encoding="utf-8"), end="")
    else:
        width = max(map(len, found))
        for each, path in found.items():
            print(f"{each:{width}}  {about(path)}")


def folder() -> Path:
    """Where the examples lie: in the installed package, or in the checkout that is being run."""
    package = Path(__file__).parents[1]
    installed = package / "examples"
    return installed if installed.is_dir() else package.parents[1] / "examples"


def about(path: Path) -> str:
    """What an example is: the first sentence of its comment or docstring, not how to run it."""
    text = path.read_text(encoding="utf-8").removeprefix("#!/bin/bash\n")
    paragraph = re.split(r"\n#?\n", text)[0]
    head = " ".join(line.strip('# "') for line in paragraph.splitlines())
    return re.split(r": (?:descent|python|sbatch) |[.:] (?=[A-Z])|, as in descent", head)[0].rstrip(
        "."
    )


def _named(name: str, found: dict[str, Path]) -> Path:
    matches = [path for each, path in found.items() if name in (each, each.partition(".")[0])]
    if len(matches) != 1:
        raise ConfigError(f"no example is called {name!r}; {nearest(name, found)}")
    return matches[0]
