"""`python -m equipoise.cli`, which torchrun starts."""

import os

from equipoise.cli import main

if __name__ == "__main__":
    code = main()
    if "WORLD_SIZE" in os.environ:  # one rank of several
        from equipoise.training.runtime import leave

        leave(code)
    raise SystemExit(code)
