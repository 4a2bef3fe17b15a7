"""Programs that write kernels with torch, started by name by a built-in author: the author itself has no torch."""
