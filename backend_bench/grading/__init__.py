"""Inputs, oracle, checker, speed-up and score: what is right, what is fast, what it is worth.

Pure: tensors and numbers in, findings and numbers out; no process, clock, file or candidate.
"""
