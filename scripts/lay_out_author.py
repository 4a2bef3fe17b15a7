"""Lay a built-in author's kernels out as a folder that `backend-bench grade` takes.

python scripts/lay_out_author.py LANGUAGE first|second DIR
"""

import sys
from pathlib import Path

from backend_bench.authors import Scripted


def main(language: str, turn: str, target: Path) -> None:
    author = Scripted(language)
    for folder in author.folders():
        place = target / folder
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{folder}_implementation_v1.py").write_text(author.kernel(folder, turn) or "")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
