"""What tables and figures call a method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def method_label(method: str, settings: Mapping[str, Any]) -> str:
    """Name a method; clipping is part of the name for SGD, as in the paper's Table 1.

    A class of the user's goes by its own name.

    Args:
        method: as a spec names it.
        settings: of the optimizer, with "none" or nothing where nothing is clipped.

    >>> method_label("sgd", {"clip_norm": 1.0, "coordinate_clip": 1.0})
    'sgd+Cclip'
    >>> method_label("class", {"class": "torch.optim:Muon"})
    'Muon'
    >>> method_label("sgd", {"clip_norm": "none"}), method_label("adam", {"clip_norm": 1.0})
    ('sgd', 'adam')
    """
    if method == "class":
        return str(settings.get("class", method)).rpartition(":")[2]
    if method != "sgd":
        return method
    if settings.get("coordinate_clip", "none") != "none":
        return "sgd+Cclip"
    return "sgd" if settings.get("clip_norm", "none") == "none" else "sgd+Gclip"
