"""Trivial kernels, run against a suite: a test is worth something only if it can fail.

For people who make suites. Judges nobody's submission: the kernels here are ours, so they run in this process,
through the judge's own draws, expectations and checker.
"""
