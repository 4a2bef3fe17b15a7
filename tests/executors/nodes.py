"""A Ray cluster of this host's processes, for tests: a head that judges nothing, and nodes that can be killed."""

from __future__ import annotations

import contextlib
import gc
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster

STORE = {"object_store_memory": 100 << 20, "include_dashboard": False}


class Nodes:
    """The nodes besides the head."""

    def __init__(self, cluster: Any, count: int) -> None:
        self.cluster = cluster
        self.list = [self.add() for _ in range(count)]

    def add(self, **more: Any) -> Any:
        with leaving_files_open():
            return self.cluster.add_node(**{"num_cpus": 2, "num_gpus": 0, **STORE, **more})

    def kill(self, node: Any) -> None:
        with leaving_files_open():
            self.cluster.remove_node(node, allow_graceful=False)


@contextlib.contextmanager
def leaving_files_open() -> Iterator[None]:
    """Ray does, where it starts and ends nodes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


@contextlib.contextmanager
def running(count: int, **head: Any) -> Iterator[Nodes]:
    """A cluster with so many nodes, which this process is a part of."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        with leaving_files_open():
            cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **head, **STORE})
            nodes = Nodes(cluster, count)
            ray.init(cluster.address, log_to_driver=False, logging_level=logging.ERROR)
        yield nodes
        with leaving_files_open():
            ray.shutdown()
            cluster.shutdown()


def end_actors() -> None:
    """They outlive their clients, and would be found by the next test."""
    if ray.is_initialized():
        for actor in ray.util.list_named_actors(all_namespaces=True):
            ray.kill(ray.get_actor(actor["name"], namespace=actor["namespace"]))
