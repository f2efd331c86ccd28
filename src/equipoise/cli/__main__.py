"""The program that torchrun starts: `python -m equipoise.cli`."""

import os

from equipoise.cli import main

if __name__ == "__main__":
    code = main()
    if "WORLD_SIZE" in os.environ:  # one rank of several
        from equipoise.training.runtime import leave

        leave(code)
    raise SystemExit(code)
