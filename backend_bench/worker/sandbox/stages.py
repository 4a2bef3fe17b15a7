"""The two stages in order, wall by wall, each noted as standing or missing."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn

from backend_bench.errors import SandboxUnavailable

from . import kernel, landlock, lineage, rights, seccomp, view
from .plan import Plan, Report, is_below

# Without one of these a candidate can reach somebody. Landlock is not among them: it is a second
# lock on doors that the view and seccomp have locked.
_REQUIRED_SPACES: Final = ("pid-namespace", "ipc-namespace", "net-namespace", "mount-view")
_REQUIRED_AT_ENTRY: Final = (*_REQUIRED_SPACES, "rlimits", "capabilities", "no-new-privs", "seccomp")
_REQUIRED_AT_CLOSE: Final = (*_REQUIRED_AT_ENTRY, "no-sockets")
_ADVICE: Final = {
    "pid-namespace": "run as root with CAP_SYS_ADMIN or allow user namespaces "
    "(sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns=0)",
    "mount-view": "needs the above and Linux 5.12",
    "seccomp": "needs x86-64 and a kernel with CONFIG_SECCOMP_FILTER",
}
_STANDARD_STREAMS: Final = (0, 1, 2)
# Parts of the host's /proc that torch and the driver read, for where there is no /proc of our own.
_HOST_PROC: Final = ("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/driver/nvidia",
                     "/proc/devices", "/proc/modules")  # fmt: skip


@dataclass(slots=True)
class _Ledger:
    """What stands and what does not, in the order in which it was tried."""

    holds: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def wall(self, name: str) -> Iterator[None]:
        """Notes `name` as standing if the block ends well, as missing if the machine refuses."""
        try:
            yield
        except (OSError, NotImplementedError) as error:
            self.lacks(name, _reason(error))
        else:
            self.holds.append(name)

    def lacks(self, name: str, because: str) -> None:
        self.missing.append(f"{name}: {because}")


@dataclass(frozen=True, slots=True)
class Entered:
    """What stage 1 built; `close` needs it."""

    holds: tuple[str, ...]
    missing: tuple[str, ...]


def enter(plan: Plan, *, keep_fds: Collection[int] = ()) -> Entered:
    """Stage 1. Call it in a single-threaded forked child; it returns in the worker.

    Every descriptor but `keep_fds` and the standard streams is closed. The process that called stays
    behind as the relay, so what follows the call runs in its child. Raises SandboxUnavailable (in the
    relay's place or in the worker's, always before a candidate could run) if the level is `required`
    and a wall cannot be built.
    """
    ledger = _Ledger()
    lineage.close_others({*keep_fds, *_STANDARD_STREAMS})
    lineage.lead_session()
    lineage.die_with_parent(os.getppid())
    ledger.holds.append("session")
    if plan.level == "off":
        ledger.lacks("sandbox", "switched off (--sandbox off): limits and a session only")
        _find_scratch(plan)
        with ledger.wall("rlimits"):
            rights.limit(plan)
    else:
        _refuse_threads()
        _build_walls(plan, ledger)
    return Entered(tuple(ledger.holds), tuple(ledger.missing))


def close(plan: Plan, entered: Entered) -> Report:
    """Stage 2, after the CUDA context exists, or at once on a CPU. Then the candidate may come."""
    ledger = _Ledger(list(entered.holds), list(entered.missing))
    if plan.level != "off":
        with ledger.wall("no-sockets"):
            seccomp.forbid_sockets()
        with ledger.wall("counted-memory"):
            seccomp.forbid_uncounted_memory(memory_files=plan.cuda)
        _check_every_thread(ledger)
        _demand(_REQUIRED_AT_CLOSE, plan, ledger)
    return Report(plan.level, tuple(ledger.holds), tuple(ledger.missing))


def probe(plan: Plan) -> Report:
    """What this machine gives for `plan`, found out in a child that does nothing else.

    Call it in a single-threaded process. Raises SandboxUnavailable as `enter` does.
    """
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        _probe_and_exit(plan, sender)
    os.close(sender)
    with os.fdopen(receiver) as answers:
        text = answers.read()
    os.waitpid(child, 0)
    if not text:
        raise SandboxUnavailable("the probe of the sandbox died without an answer")
    answer = json.loads(text)
    if "refused" in answer:
        raise SandboxUnavailable(answer["refused"])
    return Report(plan.level, tuple(answer["holds"]), tuple(answer["missing"]))


def _probe_and_exit(plan: Plan, sender: int) -> NoReturn:
    """Never returns, not even by an exception: the caller's code must not go on twice."""
    try:
        report = close(plan, enter(plan, keep_fds=(sender,)))
        _say(sender, {"holds": report.holds, "missing": report.missing})
    except (SandboxUnavailable, OSError) as error:
        _say(sender, {"refused": str(error)})
    finally:
        os._exit(0)


def _say(sender: int, answer: Mapping[str, object]) -> None:
    os.write(sender, json.dumps(answer).encode())


def _build_walls(plan: Plan, ledger: _Ledger) -> None:
    life, parent = os.getpid(), os.getppid()
    is_root = os.geteuid() == 0
    relay_died = _enter_pid_namespace(ledger)
    rights.die_first()
    may_change_user = is_root and "user-namespace" not in ledger.holds
    who = rights.unused_identity(life) if may_change_user else rights.own_identity()
    _enter_other_namespaces(ledger)
    _build_view(plan, who, ledger)
    _lose_privileges(plan, who, ledger)
    if relay_died is None:
        lineage.die_with_parent(parent)
    else:
        lineage.die_with_relay(relay_died)
        os.close(relay_died)
    os.chdir(plan.scratch)
    with ledger.wall("no-new-privs"):
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    _apply_landlock(plan, ledger)
    _filter_calls(ledger)
    _demand(_REQUIRED_AT_ENTRY, plan, ledger)


def _enter_pid_namespace(ledger: _Ledger) -> int | None:
    """The descriptor for `die_with_relay`, or None where we are still in the host's pid namespace."""
    with ledger.wall("pid-namespace"):
        try:
            kernel.unshare(kernel.CLONE_NEWPID)
        except PermissionError:
            rights.enter_user_namespace(kernel.CLONE_NEWPID)
            ledger.holds.append("user-namespace")
        return lineage.fork_into_pid_namespace()
    return None


def _enter_other_namespaces(ledger: _Ledger) -> None:
    with ledger.wall("ipc-namespace"):
        kernel.unshare(kernel.CLONE_NEWIPC)
    with ledger.wall("net-namespace"):
        kernel.unshare(kernel.CLONE_NEWNET)
    with ledger.wall("uts-namespace"):
        kernel.unshare(kernel.CLONE_NEWUTS)
        rights.forget_host_name()


def _build_view(plan: Plan, who: rights.Identity, ledger: _Ledger) -> None:
    with ledger.wall("mount-view"):
        if "pid-namespace" not in ledger.holds:
            raise OSError(errno.EPERM, "not without a pid namespace")
        kernel.unshare(kernel.CLONE_NEWNS)
        if not view.build(plan, uid=who.uid, gid=who.gid):
            ledger.lacks("proc", "the kernel refuses a /proc of our own, so there is none at all")
        return
    _demand(_REQUIRED_SPACES, plan, ledger)
    _find_scratch(plan)


def _find_scratch(plan: Plan) -> None:
    """Without a view there is no tmpfs, and a folder of the host takes its place."""
    try:
        os.makedirs(plan.scratch, mode=0o700, exist_ok=True)
        if not os.access(plan.scratch, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), plan.scratch)
    except OSError as error:
        raise SandboxUnavailable(
            f"there is no file system view here, and the scratch folder cannot be used on the host "
            f"({_reason(error)}): choose one that can"
        ) from error


def _lose_privileges(plan: Plan, who: rights.Identity, ledger: _Ledger) -> None:
    """The bounding set and the uid need capabilities, so those go last."""
    rights.forget_bounding_set()
    if who.is_new:
        _change_user(plan, who, ledger)
    with ledger.wall("rlimits"):
        rights.limit(plan)
        if os.getuid() == 0:
            raise OSError(errno.EPERM, "the kernel exempts uid 0 from the limit on processes")
    with ledger.wall("capabilities"):
        kernel.drop_all_capabilities()


def _change_user(plan: Plan, who: rights.Identity, ledger: _Ledger) -> None:
    with ledger.wall("uid"):
        os.chown(plan.scratch, who.uid, who.gid)
        lost = rights.out_of_reach(who, plan.needed)
        if lost:
            os.chown(plan.scratch, os.getuid(), os.getgid())
            raise OSError(errno.EACCES, f"{lost[0]} could not be read by uid {who.uid}")
        rights.become(who)


def _filter_calls(ledger: _Ledger) -> None:
    with ledger.wall("seccomp"):
        seccomp.forbid_calls(
            own_pids="pid-namespace" in ledger.holds, own_ipc="ipc-namespace" in ledger.holds
        )


def _apply_landlock(plan: Plan, ledger: _Ledger) -> None:
    try:
        version = landlock.restrict(_rules(plan, in_view="mount-view" in ledger.holds))
    except OSError as error:
        ledger.lacks("landlock", _reason(error))
    else:
        ledger.holds.append(f"landlock:{version}")


def _rules(plan: Plan, *, in_view: bool) -> Iterator[landlock.Rule]:
    hidden = tuple(os.path.realpath(folder) for folder in plan.hidden)
    for path in plan.readable:
        # In the view, hidden folders are covered already; nothing of them is left to forbid.
        yield from _around(os.path.realpath(path), () if in_view else hidden)
    for path in ("/proc", "/etc") if in_view else _HOST_PROC:
        yield landlock.Rule(path, landlock.LOOK)
    if plan.cuda:
        yield landlock.Rule("/proc/self", landlock.REWRITE)  # else error 304: see view._mount_proc
    for path in plan.devices:
        yield landlock.Rule(path, landlock.USE_DEVICE)
    yield landlock.Rule(plan.scratch, landlock.OWN)


def _around(path: str, hidden: tuple[str, ...]) -> Iterator[landlock.Rule]:
    """Landlock can only add rights, so a folder with a hidden one in it is allowed piece by piece."""
    if any(is_below(path, folder) for folder in hidden):
        return
    if not any(is_below(folder, path) for folder in hidden):
        yield landlock.Rule(path, landlock.RUN)
        return
    yield landlock.Rule(path, landlock.READ_DIR)  # names, which imports list, not contents
    for name in os.listdir(path):
        yield from _around(os.path.join(path, name), hidden)


def _check_every_thread(ledger: _Ledger) -> None:
    """Trusts the kernel's own account, of every thread that exists by now, more than our calls."""
    expected = {"NoNewPrivs": ("no-new-privs", 1), "Seccomp": ("seccomp", 2)}
    expected |= {f"Cap{kind}": ("capabilities", 0) for kind in ("Inh", "Prm", "Eff", "Amb")}
    for status in Path("/proc/self/task").glob("*/status"):
        found = dict(line.split(":", 1) for line in status.read_text().splitlines())
        for key, (wall, value) in expected.items():
            if wall in ledger.holds and int(found.get(key, "-1"), 16) != value:
                ledger.holds.remove(wall)
                ledger.lacks(wall, f"not on thread {status.parent.name} ({key}{found.get(key)})")


def _demand(walls: tuple[str, ...], plan: Plan, ledger: _Ledger) -> None:
    if plan.level != "required":
        return
    lost = [wall for wall in walls if wall not in ledger.holds]
    if lost:
        reasons = [line for line in ledger.missing if line.partition(":")[0] in lost]
        advice = [f"{wall} {_ADVICE[wall]}" for wall in lost if wall in _ADVICE]
        raise SandboxUnavailable(
            f"the sandbox is required and this machine refuses part of it: {'; '.join(reasons)}. "
            f"{'; '.join([*advice, 'or choose --sandbox best-effort'])}"
        )


def _refuse_threads() -> None:
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        raise RuntimeError(
            f"enter() in a process of {threads} threads would leave {threads - 1} outside the "
            "sandbox: fork before any is started (OPENBLAS_NUM_THREADS=1, no parallel operator)"
        )


def _reason(error: OSError | NotImplementedError) -> str:
    if not isinstance(error, OSError) or error.errno is None:
        return str(error)
    place = f" at {error.filename}" if error.filename else ""
    return f"{errno.errorcode.get(error.errno, error.errno)}, {error.strerror}{place}"
