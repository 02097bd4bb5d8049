"""``python -m descentlab`` is the command ``descent``, for launchers such as torchrun."""

from descentlab.cli.main import run

if __name__ == "__main__":
    run()
