"""`python -m equipoise.cli`, which torchrun starts."""

from equipoise.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
