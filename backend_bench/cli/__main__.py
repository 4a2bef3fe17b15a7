"""`python -m backend_bench.cli`: the console script, where it is not on the path."""

from __future__ import annotations

from backend_bench.cli import main

if __name__ == "__main__":
    main()
