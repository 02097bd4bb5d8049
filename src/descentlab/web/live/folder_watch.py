"""Whether something was made in a folder, or taken out of it, since the last look."""

from __future__ import annotations

from pathlib import Path


class FolderWatch:
    """Watches a folder by its time of change.

    Two changes within one tick of the file system's clock have the same time. So a folder that
    was found changed counts as changed at the next look, too.

    Args:
        path: need not be there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._time: int | None = -1  # of no folder, so that the first look finds a change
        self._again = True

    def changed(self) -> bool:
        """Whether to read it now; True at the first two calls."""
        try:
            time: int | None = self._path.stat().st_mtime_ns
        except OSError:
            time = None
        found = time != self._time
        changed, self._again, self._time = found or self._again, found, time
        return changed
