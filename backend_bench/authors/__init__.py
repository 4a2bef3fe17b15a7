"""Built-in models: scripted authors that answer like a model, so that everything runs without a key.

An author's first kernel of an operator is wrong in a typical way, and its next ones are right, so that
a run shows a failure, feedback and a success. The kernels are the files under
`kernels/<language>/<operator>/{first,second}.py`; here they are text and are never imported.
"""

from __future__ import annotations

from backend_bench.authors.author import NAMES, Author
from backend_bench.authors.server import serve, serving

__all__ = ["NAMES", "Author", "serve", "serving"]
