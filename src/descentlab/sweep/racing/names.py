"""The names of the schedulers, as a study and the command line give them; imports nothing."""

from __future__ import annotations

from typing import Literal

Name = Literal["none", "racing", "successive-halving", "asha", "median", "random"]
