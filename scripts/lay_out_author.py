"""Lay a built-in author's kernels out as a folder that `backend-bench grade` takes.

python scripts/lay_out_author.py LANGUAGE first|second DIR
"""

import sys
from pathlib import Path

import backend_bench


def main(language: str, turn: str, target: Path) -> None:
    kernels = Path(backend_bench.__file__).parent / "authors" / "kernels" / language
    for folder in sorted(path for path in kernels.iterdir() if path.is_dir()):
        place = target / folder.name
        place.mkdir(parents=True, exist_ok=True)
        source = (folder / f"{turn}.py").read_text()
        (place / f"{folder.name}_implementation_v1.py").write_text(source)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
