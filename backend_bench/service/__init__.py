"""The judge service: one process per host and build that takes submissions and answers with verdicts.

It is started by name (`python -m backend_bench.service`, see `__main__`) and imported by nobody. It
owns the judges, one for each device, and is the only process here that holds expected values.
"""
