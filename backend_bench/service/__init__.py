"""The judge service: one process per host and build that takes submissions and answers with verdicts.

It is started by name (`python -m backend_bench.service`, see `__main__`) and imported by nobody. It
queues, and owns the processes of the judges; only those hold expected values.
"""
