"""An honest kernel: a lock, a thread-local and a queue, and a worker thread that is joined in the call."""

import queue
import threading

import torch

LOCK, LOCAL = threading.Lock(), threading.local()


def index_select__default_kernel_impl(x, dim, index):
    if x.dim() == 0:
        return x.clone()
    results = queue.Queue()

    def work():
        LOCAL.count = getattr(LOCAL, "count", 0) + 1
        with LOCK:
            results.put(x.transpose(dim, 0)[index.reshape(-1).to(torch.int64)].transpose(dim, 0))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return results.get_nowait()
