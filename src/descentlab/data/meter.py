"""How far a preparation is, how fast, and how long it will take."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from descentlab.data.shards import Counts
from descentlab.data.spec import PreparationSpec


@dataclass(frozen=True)
class Progress:
    """How far a preparation is."""

    counts: Counts
    wanted: int | None
    """Tokens that were asked for; None for all that there are."""
    share: float | None
    """How much is done, from 0 to 1; None if that is not known."""
    tokens_per_second: float
    """Since this process began."""
    seconds_left: float | None


Observe = Callable[[Progress], None]


class Meter:
    """Says how far a preparation is, from when it was made on."""

    def __init__(self, spec: PreparationSpec, observe: Observe) -> None:
        self._both = spec.tokens is None or isinstance(spec.held_out, int)
        self._wanted = spec.tokens
        if spec.tokens is not None and isinstance(spec.held_out, int):
            self._wanted = spec.tokens + spec.held_out
        self._observe = observe
        self._began: tuple[float, int, float] | None = None

    def show(self, counts: Counts, read: float | None) -> None:
        """Tell the observer; ``read`` is how much of the source was read, for want of a number."""
        tokens = counts.train_tokens + counts.held_out_tokens * self._both
        share = tokens / self._wanted if self._wanted else read
        now = time.monotonic()
        if self._began is None:
            self._began = (now, tokens, share or 0.0)
        began, tokens_before, share_before = self._began
        seconds = now - began
        gained = (share or 0.0) - share_before
        self._observe(
            Progress(
                counts=counts,
                wanted=self._wanted,
                share=share,
                tokens_per_second=(tokens - tokens_before) / seconds if seconds else 0.0,
                seconds_left=seconds / gained * (1 - share) if share and gained > 0 else None,
            )
        )
