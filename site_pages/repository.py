"""Pages of the site that are files outside docs/, and links that hold there and here.

README.md and its neighbours at the root become pages; any other file that a page links to becomes
a page with its text. Links are written as they hold in the repository, and are turned here into
links between pages.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(\]\()(?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?(?=\))")
"""A relative link of Markdown: what is before its target, the target, and its anchor."""

ROOT_PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "house/contributing.md",
    "EXPERIMENTS.md": "house/experiments.md",
    "CHANGELOG.md": "house/changelog.md",
}
"""Documents at the root, and the pages that they become."""

LAST_IN_SEARCH = "---\nsearch:\n  boost: 0.5\n---\n"
"""What a page begins with that should not hide those that explain."""

LANGUAGES = {".py": "python", ".toml": "toml", ".sh": "sh", ".yml": "yaml"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the root's documents, and every file of the repository that a page links to."""
    for name, page in ROOT_PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text("utf-8")))
    documents = [*(ROOT / name for name in ROOT_PAGES), *(ROOT / "docs").glob("*.md")]
    linked = {path for document in documents for path in _links(document)}
    for path in sorted({inner for each in linked for inner in (each, *_contents(each))}):
        made = File.generated(config, _page_of(path), content=_listing(path))
        made.inclusion = InclusionLevel.NOT_IN_NAV
        files.append(made)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links of the repository into links of the site."""
    names = {uri: name for name, uri in ROOT_PAGES.items()}
    source = PurePosixPath(names.get(page.file.src_uri, f"docs/{page.file.src_uri}"))

    def of_the_site(found: re.Match[str]) -> str:
        target = _in_repository(source, found[2])
        if target.startswith("docs/"):
            uri = target.removeprefix("docs/")
        elif target in ROOT_PAGES:
            uri = ROOT_PAGES[target]
        elif (ROOT / target).exists():
            uri = _page_of(target)
        else:
            return found[0]  # for mkdocs to complain about
        link = relpath(uri, PurePosixPath(page.file.src_uri).parent.as_posix())
        return f"{found[1]}{link}{found[3] or ''}"

    return LINK.sub(of_the_site, markdown)


def _in_repository(source: PurePosixPath, link: str) -> str:
    """The path that a link of a document means, from the root."""
    return normpath((source.parent / link).as_posix())


def _links(document: Path) -> set[str]:
    """The files that a document links to, and that are no pages or pictures of the site."""
    source = PurePosixPath(document.relative_to(ROOT).as_posix())
    found = LINK.finditer(document.read_text("utf-8"))
    targets = {_in_repository(source, each[2]) for each in found}
    return {
        each
        for each in targets - set(ROOT_PAGES)
        if not each.startswith("docs/") and (ROOT / each).exists()
    }


def _contents(path: str) -> list[str]:
    """The files in a folder, if it is one."""
    folder = ROOT / path
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    return [f"{path}/{each.name}" for each in inside if each.suffix in (*LANGUAGES, ".md")]


def _page_of(path: str) -> str:
    return f"files/{path}/index.md" if (ROOT / path).is_dir() else f"files/{path}.md"


def _listing(path: str) -> str:
    """A page with the text of a file, or with links to the files in a folder."""
    whole = ROOT / path
    if whole.is_dir():
        names = [PurePosixPath(each).name for each in _contents(path)]
        return f"# {path}\n\n" + "".join(f"- [{name}]({name}.md)\n" for name in names)
    text = whole.read_text("utf-8").rstrip()
    language = LANGUAGES.get(whole.suffix, "text")
    return f"{LAST_IN_SEARCH}# {path}\n\n````{language}\n{text}\n````\n"
