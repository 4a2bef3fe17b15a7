"""What the sandbox promises, each promise by an attempt to break it from inside.

Every test runs as each kind of user that can be had here, and where it may matter from the main
thread, from one that was started before the last stage, and without Landlock, which would hide a
hole in the other walls. A wall that this machine refuses skips
its tests and says why.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backend_bench.worker import sandbox
from backend_bench.worker.sandbox import kernel

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
NOBODY = 65_534
SECRET = "the-expected-values"
MIB = 1 << 20
SURVIVORS_LIMIT_S = 20
REFUSED = {"EACCES", "EPERM", "EROFS", "ENOENT"}

Try = Callable[..., dict[str, Any]]


class Zygote:
    """Forks sandboxed children that run functions of `attacks.py`."""

    def __init__(self, interpreter: str, user: int | None) -> None:
        self.interpreter, self.user = interpreter, user
        self._process = subprocess.Popen(
            [interpreter, "-B", str(HERE / "attacks.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            cwd="/",
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY)},
        )

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdout is not None
        self.say(request)
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        assert "broken" not in answer, answer
        return answer

    def say(self, request: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"plan": {}, **request}) + "\n")
        self._process.stdin.flush()

    def output(self) -> int:
        """The descriptor of its standard output, which all its descendants share."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def pid(self) -> int:
        return self._process.pid

    def descendants(self) -> list[int]:
        """Relay, init, worker and whatever else lives, as the host numbers them."""
        found, waiting = [], [self._process.pid]
        while waiting:
            listing = Path(f"/proc/{waiting.pop()}/task").glob("*/children")
            children = [int(word) for path in listing for word in path.read_text().split()]
            found += children
            waiting += children
        return found

    def kill(self) -> None:
        self._process.kill()

    def end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


def _system_python() -> str | None:
    """A Python that every user may run; this one may live in somebody's home."""
    python = shutil.which("python3", path="/usr/local/bin:/usr/bin:/bin")
    check = "import sys; sys.exit(sys.version_info < (3, 11))"
    if python is None or subprocess.run([python, "-c", check]).returncode != 0:
        return None
    return python


@pytest.fixture(scope="module", params=["as-this-user", "as-ordinary-user"])
def zygote(request: pytest.FixtureRequest) -> Iterator[Zygote]:
    if request.param == "as-this-user":
        zygote = Zygote(sys.executable, None)
    elif os.geteuid() != 0:
        pytest.skip("this user is an ordinary one")
    elif (python := _system_python()) is None:
        pytest.skip("no Python 3.11 that an ordinary user may run")
    else:
        zygote = Zygote(python, NOBODY)
    yield zygote
    zygote.end()


@pytest.fixture(scope="module")
def walls(zygote: Zygote) -> dict[str, str]:
    """Walls that do not stand here, with the reason."""
    report = zygote.ask({"attack": "own_pid", "args": []})
    return dict(line.split(": ", 1) for line in report["missing"])


@pytest.fixture
def needs(walls: dict[str, str]) -> Callable[..., None]:
    def check(*names: str) -> None:
        for name in names:
            if name in walls:
                pytest.skip(f"{name}: {walls[name]}")

    return check


@pytest.fixture
def attempt(zygote: Zygote) -> Try:
    """Runs an attack in a fresh sandbox, from its main thread."""

    def run(attack: str, *args: object, **request: Any) -> dict[str, Any]:
        return zygote.ask({**request, "attack": attack, "args": args})

    return run


THREADS: dict[str, dict[str, Any]] = {"main-thread": {}, "earlier-thread": {"early": True}}
WITHOUT_LANDLOCK: dict[str, Any] = {"refused": ["landlock.restrict"]}


@pytest.fixture(params=THREADS)
def anywhere(request: pytest.FixtureRequest, attempt: Try) -> Try:
    """As `attempt`, from either kind of thread."""

    def run(attack: str, *args: object, **more: Any) -> dict[str, Any]:
        return attempt(attack, *args, **THREADS[request.param], **more)

    return run


@pytest.fixture(params=[*THREADS, "without-landlock"])
def anyhow(request: pytest.FixtureRequest, attempt: Try) -> Try:
    """As `anywhere`, and once more with Landlock out of the way."""

    def run(attack: str, *args: object, **more: Any) -> dict[str, Any]:
        return attempt(attack, *args, **THREADS.get(request.param, WITHOUT_LANDLOCK), **more)

    return run


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder of the host that every user may enter and write to, unlike tmp_path."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o777)
        yield folder


@pytest.fixture
def secret_file(open_folder: Path) -> Path:
    path = open_folder / "secret"
    path.write_text(SECRET)
    path.chmod(0o666)
    return path


@pytest.fixture
def victim(zygote: Zygote) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the same user as the zygote, with a secret in its environment."""
    user = zygote.user
    process = subprocess.Popen(["sleep", "600"], env={"SECRET": SECRET}, user=user, group=user)
    yield process
    process.kill()
    process.wait()


# ── files ────────────────────────────────────────────────────────────────────────────────────


def test_a_file_of_the_host_cannot_be_read(
    anyhow: Try, needs: Callable[..., None], secret_file: Path
) -> None:
    needs("mount-view")
    assert anyhow("read", str(secret_file))["error"] == "ENOENT"


def test_the_judge_is_not_in_the_view(anyhow: Try, needs: Callable[..., None]) -> None:
    needs("mount-view")
    package = REPOSITORY / "backend_bench"
    assert anyhow("names_in", str(package / "judge"))["error"] == "ENOENT"
    assert anyhow("read", str(package / "__init__.py"))["error"] in {"ENOENT", "EACCES"}


@pytest.mark.parametrize("room", ["judge", "grading", "suites", "service", "executors", "worker"])
def test_no_room_of_this_package_can_be_listed(anyhow: Try, needs: Callable[..., None], room: str) -> None:
    needs("mount-view")
    assert anyhow("names_in", str(REPOSITORY / "backend_bench" / room))["error"] in {"ENOENT", "EACCES"}


def test_the_kernels_of_a_run_cannot_be_read(
    anyhow: Try, needs: Callable[..., None], open_folder: Path
) -> None:
    needs("mount-view")
    kernel_file = open_folder / "runs" / "kernels" / "run" / "relu__default.py"
    kernel_file.parent.mkdir(parents=True)
    kernel_file.write_text(SECRET)
    assert anyhow("read", str(kernel_file))["error"] == "ENOENT"
    assert anyhow("write", str(kernel_file))["error"] in REFUSED
    assert kernel_file.read_text() == SECRET


@pytest.mark.parametrize(
    "path", ["/etc/shadow", "/root/.bashrc", "/run", "/var/log", os.path.expanduser("~/.ssh")]
)
def test_folders_of_the_system_and_its_people_are_absent(
    anyhow: Try, needs: Callable[..., None], path: str
) -> None:
    needs("mount-view")
    assert anyhow("names_in", path)["error"] in {"ENOENT", "EACCES"}


def test_a_hidden_folder_is_empty_and_its_neighbours_are_not(
    attempt: Try, needs: Callable[..., None], open_folder: Path
) -> None:
    needs("mount-view")
    (open_folder / "hidden").mkdir()
    (open_folder / "hidden" / "secret").write_text(SECRET)
    (open_folder / "shown").write_text("shown")
    plan = {"readable": [str(open_folder)], "hidden": [str(open_folder / "hidden")]}
    assert attempt("read", str(open_folder / "shown"), plan=plan)["result"] == "shown"
    hidden = attempt("read", str(open_folder / "hidden" / "secret"), plan=plan)
    assert hidden["error"] in {"ENOENT", "EACCES"}


def test_a_link_and_what_it_leads_to_both_work(
    attempt: Try, needs: Callable[..., None], open_folder: Path
) -> None:
    needs("mount-view")
    (open_folder / "real").mkdir()
    (open_folder / "real" / "file").write_text("found")
    (open_folder / "link").symlink_to("real")
    plan = {"readable": [str(open_folder / "link")]}
    for name in ("link", "real"):
        assert attempt("read", str(open_folder / name / "file"), plan=plan)["result"] == "found"


def test_only_scratch_is_writable(anyhow: Try, needs: Callable[..., None]) -> None:
    needs("mount-view")
    temporary = {"/tmp", "/var/tmp", "/dev/shm"}  # scratch again, where this interpreter lies below
    assert set(anyhow("writable_mounts")["result"]) - temporary == {sandbox.SCRATCH}


def test_what_may_be_read_may_not_be_changed(
    anyhow: Try, needs: Callable[..., None], secret_file: Path
) -> None:
    needs("mount-view")
    plan = {"readable": [str(secret_file.parent)]}
    assert anyhow("write", str(secret_file), plan=plan)["error"] in REFUSED
    assert anyhow("change_mode", str(secret_file), plan=plan)["error"] in REFUSED
    assert anyhow("write", str(secret_file.parent / "new"), plan=plan)["error"] in REFUSED
    assert secret_file.read_text() == SECRET


@pytest.mark.parametrize("folder", ["/tmp", "/var/tmp", "/dev/shm", sandbox.SCRATCH])
def test_temporary_files_never_reach_the_host(attempt: Try, needs: Callable[..., None], folder: str) -> None:
    needs("mount-view")
    path = f"{folder}/{uuid.uuid4()}"
    assert attempt("write", path)["result"] == "was here"
    assert not os.path.exists(path)


def test_scratch_has_a_size(attempt: Try, needs: Callable[..., None]) -> None:
    needs("mount-view")
    plan = {"scratch_bytes": MIB}
    assert attempt("fill", f"{sandbox.SCRATCH}/big", 4 * MIB, plan=plan)["error"] == "ENOSPC"


def test_a_file_has_a_size(attempt: Try, needs: Callable[..., None]) -> None:
    needs("mount-view")
    plan = {"file_bytes": MIB}
    assert attempt("fill", f"{sandbox.SCRATCH}/big", 4 * MIB, plan=plan)["error"] == "EFBIG"


# ── other processes ──────────────────────────────────────────────────────────────────────────


def test_no_other_process_is_in_sight(
    anyhow: Try, needs: Callable[..., None], victim: subprocess.Popen[bytes]
) -> None:
    """Init is there by number; its folder is not, or shows nothing."""
    needs("pid-namespace", "mount-view", "proc")
    assert set(anyhow("processes_in_sight")["result"]) <= {1, 2}
    assert SECRET not in anyhow("environments_in_sight")["result"]
    for name in ("environ", "mem", "maps", "root/etc/shadow"):
        assert anyhow("read", f"/proc/1/{name}")["error"] in REFUSED
        assert anyhow("read", f"/proc/{victim.pid}/{name}")["error"] in REFUSED


def test_another_process_cannot_be_killed_or_traced(
    anyhow: Try, needs: Callable[..., None], victim: subprocess.Popen[bytes]
) -> None:
    needs("pid-namespace", "seccomp")
    assert anyhow("send_signal", victim.pid)["error"] == "ESRCH"
    assert anyhow("trace", victim.pid)["error"] == "EPERM"
    assert victim.poll() is None


REFUSED_BY_PID = {"EPERM", "ESRCH", "EACCES"}


@pytest.mark.parametrize(
    "attack", ["send_signal", "signal_thread", "trace", "read_memory_of", "hold", "take_descriptor", "renice"]
)
@pytest.mark.parametrize("whom", ["a neighbour", "the zygote", "this process", "init"])
def test_nobody_outside_can_be_reached_by_his_number(
    anywhere: Try,
    needs: Callable[..., None],
    zygote: Zygote,
    victim: subprocess.Popen[bytes],
    attack: str,
    whom: str,
) -> None:
    """Where a number means somebody inside, as 1 does init, he is not harmed either."""
    needs("pid-namespace", "seccomp")
    pid = {"a neighbour": victim.pid, "the zygote": zygote.pid(), "this process": os.getpid(), "init": 1}[
        whom
    ]
    outcome = anywhere(attack, pid)
    if whom == "init" and attack in ("send_signal", "signal_thread"):
        assert outcome["death"] == 0  # signals to init are dropped
    else:
        assert outcome["error"] in REFUSED_BY_PID | {"EBADF"}
    assert victim.poll() is None


@pytest.mark.parametrize("attack", ["trace", "read_memory_of", "take_descriptor"])
def test_what_looks_into_processes_is_refused_whoever_it_is(
    anywhere: Try, needs: Callable[..., None], attack: str
) -> None:
    needs("seccomp")
    assert anywhere(attack, 0)["error"] == "EPERM"


def test_a_sibling_cannot_be_reached(needs: Callable[..., None], anyhow: Try) -> None:
    """A worker that lives at the same time, by the number that the host has for it."""
    needs("pid-namespace", "mount-view")
    other = Zygote(sys.executable, None)
    other.say({"attack": "outlive", "args": [True]})
    assert os.read(other.output(), 100) == b"ready\n"
    try:
        for pid in other.descendants():
            assert anyhow("send_signal", pid)["error"] == "ESRCH"
            assert anyhow("read", f"/proc/{pid}/environ")["error"] in REFUSED
        assert other.descendants()
    finally:
        other.kill()
        other.end()


def test_init_survives_its_own_inmates(anyhow: Try, needs: Callable[..., None]) -> None:
    needs("pid-namespace", "seccomp")
    assert anyhow("send_signal", 1)["death"] == 0
    assert anyhow("trace", 1)["error"] == "EPERM"


def test_descriptors_of_the_zygote_are_closed(attempt: Try, needs: Callable[..., None]) -> None:
    needs("mount-view", "proc")
    pipes = [link for link in attempt("open_descriptors")["result"] if link.startswith("pipe:")]
    assert len(pipes) == 3  # its standard input and output, and the one it was told to keep


# ── sockets, namespaces, privileges ──────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("family", "kind"),
    [
        (socket.AF_INET, socket.SOCK_STREAM),
        (socket.AF_INET6, socket.SOCK_DGRAM),
        (socket.AF_UNIX, socket.SOCK_STREAM),
        (socket.AF_NETLINK, socket.SOCK_RAW),
        (socket.AF_PACKET, socket.SOCK_RAW),
        (socket.AF_VSOCK, socket.SOCK_STREAM),
    ],
    ids=lambda value: value.name,
)
def test_no_socket_can_be_made(anywhere: Try, needs: Callable[..., None], family: int, kind: int) -> None:
    needs("no-sockets")
    assert anywhere("make_socket", family, kind)["error"] == "EACCES"


def test_no_pair_of_sockets_can_be_made(anywhere: Try, needs: Callable[..., None]) -> None:
    needs("no-sockets")
    assert anywhere("make_pair")["error"] == "EACCES"


def test_an_abstract_socket_of_the_host_cannot_be_reached(anywhere: Try, needs: Callable[..., None]) -> None:
    needs("no-sockets")
    address = str(uuid.uuid4())
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0" + address)
        server.listen()
        assert anywhere("connect", address)["error"] == "EACCES"


def test_a_server_of_the_host_cannot_be_called(anywhere: Try, needs: Callable[..., None]) -> None:
    needs("no-sockets")
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert anywhere("call_port", server.getsockname()[1])["error"] == "EACCES"


@pytest.mark.parametrize(
    "flags",
    [kernel.CLONE_NEWUSER, kernel.CLONE_NEWNS, kernel.CLONE_NEWNET, kernel.CLONE_NEWPID],
)
def test_no_further_namespace_can_be_made(anywhere: Try, needs: Callable[..., None], flags: int) -> None:
    needs("seccomp")
    assert anywhere("unshare", flags)["error"] == "EPERM"


def test_clone_makes_no_namespace_either(anywhere: Try, needs: Callable[..., None]) -> None:
    needs("seccomp")
    assert anywhere("clone_into_namespace")["error"] == "EPERM"


def test_nothing_can_be_mounted(anywhere: Try, needs: Callable[..., None]) -> None:
    needs("seccomp")
    assert anywhere("mount_tmpfs")["error"] == "EPERM"


def test_nobody_becomes_root(anywhere: Try, needs: Callable[..., None]) -> None:
    needs("capabilities")
    assert anywhere("become_root")["error"] in {"EPERM", "EINVAL"}


# ── limits ───────────────────────────────────────────────────────────────────────────────────


def test_a_fork_bomb_stops_at_the_limit(attempt: Try, needs: Callable[..., None]) -> None:
    needs("rlimits", "pid-namespace")
    count, error = attempt("fork_bomb", plan={"processes": 12})["result"]
    assert error == "EAGAIN"
    assert count <= 12


def test_one_life_does_not_use_up_the_processes_of_another(attempt: Try, needs: Callable[..., None]) -> None:
    """The limit is each life's own, though the user outside may be the same."""
    needs("rlimits", "pid-namespace")
    counts = [attempt("fork_bomb", plan={"processes": 12})["result"][0] for _ in range(2)]
    assert counts[0] == counts[1] > 0


@pytest.mark.parametrize(
    ("call", "name"),
    [(319, "memfd_create"), (447, "memfd_secret"), (29, "shmget"), (68, "msgget")],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_no_memory_can_be_had_that_nobody_counts(
    anywhere: Try, needs: Callable[..., None], call: int, name: str
) -> None:
    needs("counted-memory")
    assert anywhere("make_uncounted_memory", call)["error"] == "ENOSYS"


def test_open_files_have_a_limit(anywhere: Try, needs: Callable[..., None]) -> None:
    needs("rlimits")
    count, error = anywhere("open_many", plan={"open_files": 64})["result"]
    assert error == "EMFILE"
    assert count < 64


def test_a_memory_bomb_gets_an_error(attempt: Try, needs: Callable[..., None]) -> None:
    needs("rlimits")
    plan = {"memory_bytes": 1 << 30}
    assert attempt("memory_bomb", 2 << 30, plan=plan)["error"] == "MemoryError"


# ── death ────────────────────────────────────────────────────────────────────────────────────


def test_descendants_die_when_the_relay_is_killed(attempt: Try, needs: Callable[..., None]) -> None:
    """Though they left the session, forked twice, and forgot to die with their parent."""
    needs("pid-namespace")
    outcome = attempt("outlive", tell=True, kill=True)
    assert outcome == {"ready": True, "death": -signal.SIGKILL}


def test_everything_dies_with_the_zygote(needs: Callable[..., None]) -> None:
    """The end of a pipe that all of them hold comes when the last of them is gone."""
    needs("pid-namespace")
    zygote = Zygote(sys.executable, None)
    zygote.say({"attack": "outlive", "args": [True]})
    output = zygote.output()
    assert os.read(output, 100) == b"ready\n"
    zygote.kill()
    assert select.select([output], [], [], SURVIVORS_LIMIT_S)[0]
    assert os.read(output, 100) == b""
    zygote.end()


def test_a_signal_to_the_own_group_stays_inside(anyhow: Try, needs: Callable[..., None]) -> None:
    needs("pid-namespace")
    outcome = anyhow("signal_own_group")
    assert (outcome["result"], outcome["death"]) == ("alive", 0)


@pytest.mark.parametrize("code", [0, 3, 255])
def test_an_exit_code_is_relayed(attempt: Try, needs: Callable[..., None], code: int) -> None:
    """And the child that was left behind is gone, else the answer would name survivors."""
    needs("pid-namespace")
    assert attempt("leave", code) == {"death": code}


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGABRT", "SIGXCPU", "SIGBUS"])
def test_a_signal_is_relayed(attempt: Try, needs: Callable[..., None], name: str) -> None:
    needs("pid-namespace")
    number = signal.Signals[name].value
    assert attempt("die", number) == {"death": -number}


@pytest.mark.parametrize(("crash", "number"), [("abort", signal.SIGABRT), ("touch_null", signal.SIGSEGV)])
def test_a_crash_is_relayed(attempt: Try, crash: str, number: int) -> None:
    assert attempt(crash) == {"death": -number}


# ── what must go on working ──────────────────────────────────────────────────────────────────


def test_programs_can_be_started(anywhere: Try) -> None:
    assert anywhere("start_program")["result"] == [0, "fine"]


def test_torch_works_inside(zygote: Zygote, attempt: Try) -> None:
    if zygote.interpreter != sys.executable:
        pytest.skip("torch is in this interpreter only")
    pytest.importorskip("torch")
    assert attempt("multiply")["result"] == 256**3


# ── what the machine refuses ─────────────────────────────────────────────────────────────────

NO_NAMESPACES = {"refused": ["kernel.unshare"]}


def test_required_says_what_is_missing_and_what_to_do(attempt: Try) -> None:
    message = attempt("own_pid", level="required", **NO_NAMESPACES)["unavailable"]
    assert "pid-namespace: EPERM" in message
    assert "user.max_user_namespaces" in message
    assert "--sandbox best-effort" in message


def test_best_effort_goes_on_and_reports(attempt: Try, open_folder: Path) -> None:
    plan = {"scratch": str(open_folder / "scratch")}
    outcome = attempt("own_pid", plan=plan, **NO_NAMESPACES)
    missing = {line.partition(":")[0] for line in outcome["missing"]}
    assert {"pid-namespace", "net-namespace", "ipc-namespace", "mount-view"} <= missing
    assert not missing & set(outcome["holds"])


def test_a_user_namespace_without_a_map_is_not_entered(
    zygote: Zygote, attempt: Try, open_folder: Path
) -> None:
    """Ubuntu makes the namespace and refuses the map; a worker in there could not even fork."""
    if os.geteuid() == 0 and zygote.user is None:
        pytest.skip("root needs no user namespace")
    plan = {"scratch": str(open_folder / "scratch")}
    outcome = attempt("start_program", plan=plan, refused=["rights._write_map"])
    assert outcome["result"] == [0, "fine"]
    assert any(line.startswith("pid-namespace: EPERM") for line in outcome["missing"])


def test_a_failure_while_the_view_is_built_leaves_the_old_one(
    attempt: Try, needs: Callable[..., None], open_folder: Path
) -> None:
    needs("mount-view", "landlock")
    plan = {"scratch": str(open_folder / "scratch"), "readable": [str(HERE)]}
    outcome = attempt("names_in", str(HERE), plan=plan, refused=["kernel.pivot_root_here"])
    assert "attacks.py" in outcome["result"]
    assert any(line.startswith("mount-view: EPERM") for line in outcome["missing"])


def test_without_a_view_landlock_still_guards_files(
    attempt: Try, needs: Callable[..., None], open_folder: Path, secret_file: Path
) -> None:
    needs("landlock")
    (open_folder / "shown").mkdir()
    (open_folder / "shown" / "file").write_text("shown")
    (open_folder / "shown" / "hidden").mkdir()
    (open_folder / "shown" / "hidden" / "secret").write_text(SECRET)
    shown, hidden = open_folder / "shown", open_folder / "shown" / "hidden"
    plan = {
        "scratch": str(open_folder / "scratch"),
        "readable": [str(shown)],
        "hidden": [str(hidden)],
    }
    request = {"plan": plan, **NO_NAMESPACES}
    assert attempt("read", str(shown / "file"), **request)["result"] == "shown"
    assert attempt("read", str(secret_file), **request)["error"] == "EACCES"
    assert attempt("read", str(hidden / "secret"), **request)["error"] == "EACCES"
    assert attempt("write", str(shown / "new"), **request)["error"] == "EACCES"
    assert attempt("write", f"{plan['scratch']}/new", **request)["result"] == "was here"


def test_without_a_pid_namespace_signals_stay_at_home(
    attempt: Try, needs: Callable[..., None], open_folder: Path, victim: subprocess.Popen[bytes]
) -> None:
    needs("seccomp")
    request = {"plan": {"scratch": str(open_folder / "scratch")}, **NO_NAMESPACES}
    assert attempt("send_signal", victim.pid, **request)["error"] == "EPERM"
    assert attempt("abort", **request) == {"death": -signal.SIGABRT}
    assert victim.poll() is None


def test_without_a_view_an_unusable_scratch_is_named(attempt: Try, secret_file: Path) -> None:
    plan = {"scratch": str(secret_file / "below-a-file")}
    message = attempt("own_pid", plan=plan, **NO_NAMESPACES)["unavailable"]
    assert "below-a-file" in message


def test_off_promises_nothing_but_limits(attempt: Try, open_folder: Path) -> None:
    outcome = attempt("own_pid", level="off", plan={"scratch": str(open_folder / "scratch")})
    assert outcome["holds"] == ["session", "rlimits"]
    assert outcome["missing"][0].startswith("sandbox: switched off")


def test_the_probe_tells_what_a_worker_would_get(walls: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, cwd=REPOSITORY, check=True
    )
    assert done.stdout.startswith("best-effort")


PROBE = """
from backend_bench.worker import sandbox
report = sandbox.probe(sandbox.default_plan(level="best-effort", cuda=False))
assert report.holds, report
print(report.level)
"""
