"""Pages of the Python reference: for each, the modules whose docstrings mkdocstrings puts there."""

from __future__ import annotations

import ast
import json
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

SOURCE = Path(__file__).parents[1] / "src"

LAST_IN_SEARCH = "---\nsearch:\n  boost: 0.5\n---\n"
"""What a page begins with that should not hide those that explain."""

PAGES = {
    "optim": ("Optimizers", ["optim"]),
    "conformance": ("Conformance", ["testing", "optim.conformance"]),
    "theory": ("Theory", ["theory"]),
    "quadratic": ("The quadratic", ["quadratic"]),
    "analysis": ("Analysis", ["analysis", "analysis.tables", "analysis.figures", "charts"]),
    "statistics": ("Statistics", ["analysis.statistics"]),
    "audit": ("Audit and claims", ["analysis.audit", "analysis.claims"]),
    "sweep": ("Studies, races, contests", ["sweep", "sweep.racing", "sweep.executors", "contests"]),
    "runs": ("Runs and stores", ["runs"]),
    "train": ("Training", ["train"]),
    "data": ("Data", ["data"]),
    "model": ("Models", ["model"]),
    "paper": ("The paper", ["paper", "paper.claims", "paper.figures"]),
    "rest": ("Foundations", ["config", "errors", "seeding", "processes", "storage"]),
}
"""By page: its title; modules, and packages, of which every module is shown, and every package
within that no page names itself."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each row of ``PAGES``."""
    for name, (title, parts) in PAGES.items():
        body = "\n".join(directive(module) for part in parts for module in modules(part))
        content = f"{LAST_IN_SEARCH}# {title}\n\n{body}"
        files.append(File.generated(config, f"reference/{name}.md", content=content))
    return files


def modules(part: str) -> list[str]:
    """The module of that name; or, of a package, itself and all in it that stands nowhere else."""
    path = SOURCE / "descentlab" / part.replace(".", "/")
    named = {other for _, parts in PAGES.values() for other in parts}
    found = [f"descentlab.{part}"]
    for each in sorted(path.glob("*")):
        inner = f"{part}.{each.stem}"
        if each.suffix == ".py" and not each.name.startswith("_"):
            found.append(f"descentlab.{inner}")
        elif (each / "__init__.py").exists() and inner not in named:
            found += modules(inner)
    return found


def directive(module: str) -> str:
    """What asks mkdocstrings for a module; of a package, for nothing that it only passes on."""
    package = SOURCE / module.replace(".", "/") / "__init__.py"
    if not package.exists():
        return f"::: {module}\n"
    return f"::: {module}\n    options:\n      members: {json.dumps(own_names(package) or False)}\n"


def own_names(path: Path) -> list[str]:
    """What a package defines itself for others: of its ``__all__``, if it has one."""
    found: list[str] = []
    public: list[str] | None = None
    for each in ast.parse(path.read_text("utf-8")).body:
        if isinstance(each, ast.FunctionDef | ast.ClassDef):
            found.append(each.name)
        elif isinstance(each, ast.Assign | ast.AnnAssign):
            targets = each.targets if isinstance(each, ast.Assign) else [each.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            if names == ["__all__"] and each.value is not None:
                public = ast.literal_eval(each.value)
            found += names
    return [name for name in found if name in (public or found) and not name.startswith("_")]
