from __future__ import annotations

import signal

import pytest


@pytest.fixture(autouse=True)
def _signals_as_before():
    """Take back the handlers that the command sets."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
    handlers = [(each, signal.getsignal(each)) for each in numbers]
    yield
    for number, handler in handlers:
        signal.signal(number, handler)
