"""Locks a forked worker in before any candidate code runs, and says which walls stand.

Theory of operation
===================

Who is who. The *zygote* has imported torch and never touched a GPU. It forks a *child*, and that child
calls `enter`. From there on::

    zygote ── relay                    the zygote's child: outside, unconfined, holds no descriptor
                ├── init    (pid 1)    inside the pid namespace, sleeps; its death ends everything inside
                └── worker  (pid 2)    inside everything; `enter` returns here, and only here

- The *relay* does nothing but wait for the worker. Then it kills init, which takes every descendant
  along, however often it forked or called setsid, and dies exactly as the worker died: same exit code
  or same signal. The zygote thus sees one pid, and the truth in `waitpid`.
- *Init* exists because a worker that were pid 1 itself would be immune to its own SIGABRT and SIGXCPU,
  and would have to collect its orphans. It is killed when the relay dies (PDEATHSIG), so SIGKILL to
  the relay ends the life whatever the worker did to its own PDEATHSIG: inside a pid namespace nobody
  can kill, trace or reach init.
- The relay is killed when the zygote dies. It leads its own session and process group.

Whose rights. With CAP_SYS_ADMIN (root) the namespaces are made directly, and the worker becomes a user
that nobody else is, a new one for each life: file modes protect what the view shows, and the limit on
processes is its own. An ordinary user gets a user namespace with itself as the only id; then the view,
not the file mode, protects that user's files.

Stage 1, `enter`: while there is one thread, so that every later one, the CUDA driver's too, inherits
    session, descriptors → pid namespace and fork → ipc, net, uts and mount namespaces → file system
    view → capabilities and uid → limits → PDEATHSIG → no_new_privs → Landlock → seccomp
    The mounts come before the uid and the capabilities, which they need. PDEATHSIG comes after the
    uid, a change of which clears it. Seccomp comes last, as it forbids most of the above.
The CUDA context, made by the caller, if at all. The driver needs two things that look like attacks: it
    rewrites a file below /proc/self, and it opens a socket. Refused either, it reports error 304.
Stage 2, `close`: no more sockets, on every thread at once (seccomp's TSYNC); then the kernel's own
    account of every thread is read, and the report is made. Now the candidate may come.

The view is a fresh tmpfs with `Plan.readable` mounted on it read-only, the device nodes one by one,
a /proc of the new pid namespace, and one private tmpfs, `Plan.scratch`, to which /tmp, /var/tmp and
/dev/shm are links. The old root is detached: nothing of it can be named any more. What the worker
still wants to import must therefore be imported already, or lie in `Plan.readable`.

What is covered
    files of the host (reading and writing), its processes, sockets of every family, namespaces,
    mounts, kernel interfaces with a bad record (io_uring, bpf, perf, userfaultfd, keyrings), descendants
    that want to outlive their life, core dumps, number of processes and files, CPU seconds.
What is not
    - what the zygote's memory held at the fork, its environment included: keep secrets out of it;
    - descriptors that were asked to be kept: the channel must be a stream or seqpacket socket pair or
      a pipe (a datagram socket could address the host's sockets), and what arrives on it is a claim;
    - the sum of memory: `Plan.memory_bytes` binds each process and not memfds: watch it, or use a cgroup;
    - GPU memory beyond what PyTorch's allocator gives (the driver knows no limit), GPU time, bugs of the GPU driver (its ioctls are open), bugs of the kernel;
    - CPU time stolen from neighbours, and side channels;
    - everything inside the process: candidate and worker share one interpreter.

Where a wall cannot be built: level `required` raises `SandboxUnavailable`, `best-effort` goes on and
says so in `Report.missing`, `off` does no more than limits and a session of its own.
"""

from __future__ import annotations

from .plan import SCRATCH, Level, Plan, Report, default_plan
from .stages import Entered, close, enter, probe

__all__ = [
    "SCRATCH",
    "Entered",
    "Level",
    "Plan",
    "Report",
    "close",
    "default_plan",
    "enter",
    "probe",
]
