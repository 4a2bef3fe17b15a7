"""A stand-in for Modal's control plane on loopback, as test equipment: the real client deploys to it and calls,
and it runs the real container entry point as a process of this machine.

Written from the public protocol of the client's wheel (`modal_proto`). It keeps what was deployed, hands
inputs to containers and outputs to clients, gives containers the files that were uploaded and the variables
of their image, enforces time limits, takes and "restores" a snapshot once a container, and can be told to
fail. It rents no GPU, builds no image, blocks no network, and knows nothing of prices: what it shows is that
both ends speak the protocol rightly, not that the paid service does as it is told.

By hand, on a host with a GPU or to look at a deployment: `python -m tests.executors.modal_stand_in` prints the
variables with which `backend-bench` meets it, and serves until its standard input ends.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import itertools
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import grpclib.const
import grpclib.server
from google.protobuf import message_factory
from google.protobuf.empty_pb2 import Empty
from grpclib import GRPCError, Status
from modal_proto import api_pb2 as api

from backend_bench import runtime
from backend_bench.executors import services
from backend_bench.runtime import Address

GPUS = {"T4", "L4", "A10", "L40S", "A100", "A100-40GB", "A100-80GB", "H100", "H100!", "H200", "B200", "B200+"}
HEARTBEAT_S = 10.0
"""The client sends another every 15 s; a cancellation goes out at once."""
INPUT_POLL_S = 10.0
SERVICE = api.DESCRIPTOR.services_by_name["ModalClient"]
Result = api.GenericResult


def handlers(owner: Any) -> dict[str, grpclib.const.Handler]:
    """All methods of the protocol, answered by the owner's methods of that name."""
    found = {}
    for method in SERVICE.methods:
        streams = bool(method.client_streaming), bool(method.server_streaming)
        cardinality = next(kind for kind in grpclib.const.Cardinality if kind.value == streams)
        found[f"/modal.client.ModalClient/{method.name}"] = grpclib.const.Handler(
            answering(owner, method.name),
            cardinality,
            message_factory.GetMessageClass(method.input_type),
            message_factory.GetMessageClass(method.output_type),
        )
    return found


def answering(owner: Any, name: str) -> Callable[[Any], Coroutine[Any, Any, None]]:
    async def handle(stream: Any) -> None:
        request = await stream.recv_message()
        answer = getattr(owner, name, None)
        if answer is None:
            raise GRPCError(Status.UNIMPLEMENTED, f"the stand-in has no {name}")
        if (fault := owner.plane.faults.get(name)) is not None:
            raise GRPCError(*fault)
        said = answer(request)
        if isinstance(said, AsyncIterator):
            async for message in said:
                await stream.send_message(message)
        else:
            await stream.send_message(await said if asyncio.iscoroutine(said) else said)

    return handle


class Line:
    """A gRPC server of its own for one party, so that it is known who speaks."""

    def __init__(self, owner: Any) -> None:
        self._owner = owner

    def __mapping__(self) -> dict[str, grpclib.const.Handler]:
        return handlers(self._owner)


async def served(owner: Any) -> tuple[grpclib.server.Server, str]:
    server = grpclib.server.Server([Line(owner)])
    await server.start("127.0.0.1", 0)
    port = server._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    return server, f"http://127.0.0.1:{port}"


class Call:
    """One function call: its input, and its output once it is there."""

    def __init__(self, number: str, function: str, item: api.FunctionPutInputsItem, kind: int) -> None:
        self.id, self.function, self.item, self.kind = number, function, item, kind
        self.input_id = f"in-{number}"
        self.output: api.FunctionGetOutputsItem | None = None
        self.done = asyncio.Event()

    def finish(self, result: api.GenericResult, data_format: int = 0) -> None:
        if self.output is None:
            self.output = api.FunctionGetOutputsItem(
                result=result, idx=self.item.idx, input_id=self.input_id, data_format=data_format
            )
            self.done.set()


class ControlPlane:
    """What clients speak to. All of it happens in one thread's event loop."""

    def __init__(self, folder: Path) -> None:
        self.plane = self
        self.folder = folder
        self.url = ""
        self.hides_gpus = True
        """Nothing is rented: whatever this machine has, containers judge on its CPU."""
        self.spoil: Callable[[Path], None] = lambda folder: None
        """Done to the files of each new container before it starts."""
        self.faults: dict[str, tuple[Status, str]] = {}
        """By method: what it answers instead."""
        self.numbers = itertools.count(1)
        self.files: dict[str, bytes] = {}
        self.mounts: dict[str, list[api.MountFile]] = {}
        self.images: dict[str, api.Image] = {}
        self.functions: dict[str, api.Function] = {}
        self.variants: dict[str, tuple[str, api.FunctionBindParamsRequest]] = {}
        self.apps: dict[str, str] = {}
        self.layouts: dict[str, tuple[dict[str, str], dict[str, str]]] = {}
        self.scaling: dict[str, api.AutoscalerSettings] = {}
        self.calls: dict[str, Call] = {}
        self.waiting: defaultdict[str, list[Call]] = defaultdict(list)
        self.containers: list[Container] = []
        self.came = asyncio.Condition()
        self.tasks: set[asyncio.Task[None]] = set()

    def new(self, kind: str) -> str:
        return f"{kind}-{next(self.numbers)}"

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    # Who asks, and where.

    def ClientHello(self, _: Any) -> Any:
        return api.ClientHelloResponse()

    def AuthTokenGet(self, _: Any) -> Any:
        parts = ({"alg": "none"}, {"exp": int(time.time()) + 36000})
        said = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
        return api.AuthTokenGetResponse(token=f"{said[0]}.{said[1]}.x")

    def EnvironmentGetOrCreate(self, _: Any) -> Any:
        settings = api.EnvironmentSettings(image_builder_version="2025.06")
        return api.EnvironmentGetOrCreateResponse(
            environment_id="en-1", metadata=api.EnvironmentMetadata(name="main", settings=settings)
        )

    # What is deployed.

    def AppGetByDeploymentName(self, request: Any) -> Any:
        return api.AppGetByDeploymentNameResponse(app_id=self.apps.get(request.name, ""))

    def AppCreate(self, _: Any) -> Any:
        return api.AppCreateResponse(app_id=self.new("ap"), app_page_url=f"{self.url}/app")

    def AppGetOrCreate(self, _: Any) -> Any:
        return api.AppGetOrCreateResponse(app_id=self.new("ap"))

    def AppGetLayout(self, request: Any) -> Any:
        return api.AppGetLayoutResponse(app_layout=self.layout(request.app_id))

    def AppHeartbeat(self, _: Any) -> Any:
        return Empty()

    def AppClientDisconnect(self, _: Any) -> Any:
        return Empty()

    def AppPublish(self, request: Any) -> Any:
        self.apps[request.name] = request.app_id
        self.layouts[request.app_id] = dict(request.function_ids), dict(request.class_ids)
        return api.AppPublishResponse(url=f"{self.url}/app", deployed_at=time.time())

    def MountGetOrCreate(self, request: Any) -> Any:
        mount = self.new("mo")
        self.mounts[mount] = list(request.files)
        return api.MountGetOrCreateResponse(mount_id=mount, handle_metadata=api.MountHandleMetadata())

    def MountBatchedCheckExistence(self, request: Any) -> Any:
        missing = [digest for digest in request.sha256_hex_hashes if digest not in self.files]
        return api.MountBatchedCheckExistenceResponse(missing_sha256_hex_hashes=missing)

    def MountPutFile(self, request: Any) -> Any:
        if request.WhichOneof("data_oneof") == "data":
            assert hashlib.sha256(request.data).hexdigest() == request.sha256_hex
            self.files[request.sha256_hex] = request.data
        return api.MountPutFileResponse(exists=request.sha256_hex in self.files)

    def ImageGetOrCreate(self, request: Any) -> Any:
        image = self.new("im")
        self.images[image] = request.image
        return api.ImageGetOrCreateResponse(
            image_id=image, result=Result(status=Result.GENERIC_STATUS_SUCCESS)
        )

    async def ImageJoinStreaming(self, _: Any) -> AsyncIterator[Any]:
        yield api.ImageJoinStreamingResponse(result=Result(status=Result.GENERIC_STATUS_SUCCESS))

    def FunctionPrecreate(self, request: Any) -> Any:
        function = request.existing_function_id or self.new("fu")
        return api.FunctionPrecreateResponse(function_id=function, handle_metadata=self.handle(request))

    def FunctionCreate(self, request: Any) -> Any:
        function = request.existing_function_id or self.new("fu")
        self.functions[function] = request.function
        return api.FunctionCreateResponse(
            function_id=function,
            function=request.function,
            handle_metadata=self.handle(request.function),
            function_data=self.data(request.function),
        )

    def ClassCreate(self, _: Any) -> Any:
        return api.ClassCreateResponse(class_id=self.new("cs"), handle_metadata=api.ClassHandleMetadata())

    # What is looked up and called.

    def ClassGet(self, request: Any) -> Any:
        found = self.layouts.get(self.apps.get(request.app_name, ""), ({}, {}))[1].get(request.object_tag)
        if found is None:
            raise GRPCError(Status.NOT_FOUND, f"no class {request.object_tag} in app {request.app_name}")
        return api.ClassGetResponse(class_id=found, handle_metadata=api.ClassHandleMetadata())

    def FunctionGet(self, request: Any) -> Any:
        found = self.layouts.get(self.apps.get(request.app_name, ""), ({}, {}))[0].get(request.object_tag)
        if found is None:
            raise GRPCError(Status.NOT_FOUND, f"no function {request.object_tag} in app {request.app_name}")
        function = self.functions[found]
        return api.FunctionGetResponse(
            function_id=found, handle_metadata=self.handle(function), function=self.data(function)
        )

    def FunctionBindParams(self, request: Any) -> Any:
        asked = request.function_options.resources.gpu_config.gpu_type
        if asked not in GPUS:
            raise GRPCError(Status.INVALID_ARGUMENT, f"Not a valid GPU type: {asked}")
        same = (name for name, (_, known) in self.variants.items() if known == request)
        variant = next(same, None) or self.new("fu")
        self.variants[variant] = request.function_id, request
        handle = self.handle(self.functions[request.function_id])
        return api.FunctionBindParamsResponse(bound_function_id=variant, handle_metadata=handle)

    def FunctionUpdateSchedulingParams(self, request: Any) -> Any:
        self.scaling[self.gpu(request.function_id)] = request.settings
        return api.FunctionUpdateSchedulingParamsResponse(current_settings=request.settings)

    def FunctionMap(self, request: Any) -> Any:
        number = self.new("fc")
        answer = api.FunctionMapResponse(function_call_id=number, function_call_jwt=number)
        for item in request.pipelined_inputs:
            call = Call(number, request.function_id, item, request.function_call_invocation_type)
            self.calls[number] = call
            self.waiting[call.function].append(call)
            answer.pipelined_inputs.add(idx=item.idx, input_id=call.input_id, input_jwt=call.input_id)
            self.start(self.scale(call.function))
        return answer

    async def FunctionGetOutputs(self, request: Any) -> Any:
        call = self.calls[request.function_call_id]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(call.done.wait(), request.timeout)
        if call.output is None:
            return api.FunctionGetOutputsResponse(last_entry_id="0-0", num_unfinished_inputs=1)
        return api.FunctionGetOutputsResponse(outputs=[call.output], idxs=[0], last_entry_id="1-0")

    async def FunctionCallCancel(self, request: Any) -> Any:
        call = self.calls[request.function_call_id]
        if call in self.waiting[call.function]:
            self.waiting[call.function].remove(call)
            call.finish(Result(status=Result.GENERIC_STATUS_TERMINATED))
        for container in self.containers:
            if container.holds is call:
                container.cancel.set()
        return Empty()

    # What it all rests on.

    def handle(self, function: Any) -> api.FunctionHandleMetadata:
        methods = {
            name: api.FunctionHandleMetadata(
                function_name=method.function_name,
                function_type=method.function_type,
                is_method=True,
                use_method_name=name,
                supported_input_formats=method.supported_input_formats,
                supported_output_formats=method.supported_output_formats,
            )
            for name, method in function.method_definitions.items()
        }
        return api.FunctionHandleMetadata(
            function_name=function.function_name,
            function_type=function.function_type,
            method_handle_metadata=methods,
        )

    def data(self, function: api.Function) -> api.FunctionData:
        return api.FunctionData(
            function_name=function.function_name,
            timeout_secs=function.timeout_secs,
            method_definitions=function.method_definitions,
            is_class=function.is_class,
            ranked_functions=[api.FunctionData.RankedFunction(rank=0, function=function)],
        )

    def layout(self, app: str) -> api.AppLayout:
        functions, classes = self.layouts[app]
        layout = api.AppLayout(function_ids=functions, class_ids=classes)
        for function in functions.values():
            metadata = self.handle(self.functions[function])
            layout.objects.add(object_id=function).function_handle_metadata.CopyFrom(metadata)
        for name in classes.values():
            layout.objects.add(object_id=name).class_handle_metadata.CopyFrom(api.ClassHandleMetadata())
        return layout

    def definition(self, variant: str) -> api.Function:
        return self.functions[self.variants[variant][0]]

    def gpu(self, variant: str) -> str:
        return str(self.variants[variant][1].function_options.resources.gpu_config.gpu_type)

    def environment(self, function: api.Function) -> dict[str, str]:
        """Variables of an image and of those that it is built on."""
        found: dict[str, str] = {}
        image = self.images[function.image_id]
        while True:
            for command in image.dockerfile_commands:
                if command.startswith("ENV "):
                    name, _, value = command.removeprefix("ENV ").partition("=")
                    found.setdefault(name, shlex.split(value)[0] if value else "")
            if not image.base_images:
                return found
            image = self.images[image.base_images[0].image_id]

    async def scale(self, variant: str) -> None:
        """Another container, if more waits than there are idle ones and the limit allows it."""
        alive = [one for one in self.containers if one.function == variant and one.alive]
        limit = self.definition(variant).autoscaler_settings.max_containers or 4
        idle = [one for one in alive if one.holds is None]
        if len(self.waiting[variant]) > len(idle) and len(alive) < limit:
            container = Container(self, variant)
            self.containers.append(container)
            await container.run()
        async with self.came:
            self.came.notify_all()


class Container:
    """One container: a process, and what it speaks to."""

    def __init__(self, plane: ControlPlane, function: str) -> None:
        self.plane, self.function = plane, function
        self.id = plane.new("ta")
        self.folder = plane.folder / self.id
        self.runtime = Path(tempfile.mkdtemp(prefix="bb-", dir="/tmp"))  # a socket's path must be short
        self.process: subprocess.Popen[bytes] | None = None
        self.end: asyncio.Task[None] | None = None
        self.alive = True
        self.holds: Call | None = None
        self.served = 0
        self.snapshots = 0
        self.cancel = asyncio.Event()

    async def run(self) -> None:
        server, url = await served(self)
        self.folder.mkdir()
        self._mount()
        plane, definition = self.plane, self.plane.definition(self.function)
        _, bound = plane.variants[self.function]
        app = plane.apps[definition.app_name]
        arguments = api.ContainerArguments(
            task_id=self.id,
            function_id=self.function,
            app_id=app,
            function_def=definition,
            serialized_params=bound.serialized_params,
            app_layout=plane.layout(app),
            environment_name="main",
            checkpoint_id=f"ch-{self.id}",
        )
        arguments.function_def.is_checkpointing_function = definition.checkpointing_enabled
        (self.folder / "arguments").write_bytes(arguments.SerializeToString())
        variables = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            **plane.environment(definition),
            runtime.FOLDER: str(self.runtime),
            runtime.IDLE: "120",  # a stand-in that is killed ends nothing
            "BACKEND_BENCH_CACHE": str(self.folder / "cache"),
            **({"CUDA_VISIBLE_DEVICES": ""} if plane.hides_gpus else {}),
            "PYTHONPATH": str(self.folder / "root"),
            "MODAL_CONTAINER_ARGUMENTS_PATH": str(self.folder / "arguments"),
            "MODAL_TASK_ID": self.id,
            "MODAL_IS_REMOTE": "1",
            "MODAL_SERVER_URL": url,
            "MODAL_RESTORE_STATE_PATH": str(self.folder / "restored"),
            "MODAL_ENABLE_SNAP_RESTORE": "1",
        }
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "modal._container_entrypoint"],
                cwd=self.folder,
                env=variables,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.end = plane.start(self._watch(server))

    def _mount(self) -> None:
        for mount in self.plane.definition(self.function).mount_ids:
            for file in self.plane.mounts[mount]:
                target = self.folder / file.filename.lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(self.plane.files[file.sha256_hex])
        self.plane.spoil(self.folder)

    async def _watch(self, server: grpclib.server.Server) -> None:
        """Until the process is gone; what it held has failed, and what it left behind is ended."""
        assert self.process is not None
        while self.process.poll() is None:
            await asyncio.sleep(0.02)
        self.alive = False
        await asyncio.to_thread(self._sweep)
        held, self.holds = self.holds, None
        if held is not None:
            held.finish(
                Result(
                    status=Result.GENERIC_STATUS_INTERNAL_FAILURE,
                    exception=f"container {self.id} exited with {self.process.returncode}",
                )
            )
        server.close()
        await server.wait_closed()
        if self.plane.waiting[self.function]:
            await self.plane.scale(self.function)

    def _sweep(self) -> None:
        for lock in self.runtime.glob("*.lock"):
            address = Address(self.runtime, lock.stem)
            if (pid := address.pid()) is not None:
                services.end(services.Seen(address, pid, None))

    def kill(self, number: int = signal.SIGKILL) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, number)

    # What it asks.

    def ContainerHello(self, _: Any) -> Any:
        return Empty()

    async def ContainerHeartbeat(self, _: Any) -> Any:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.cancel.wait(), HEARTBEAT_S)
        if not self.cancel.is_set() or self.holds is None:
            return api.ContainerHeartbeatResponse()
        self.cancel.clear()
        event = api.CancelInputEvent(input_ids=[self.holds.input_id])
        return api.ContainerHeartbeatResponse(cancel_input_event=event)

    def ContainerCheckpoint(self, _: Any) -> Any:
        """The client now waits for the file by which a restored container learns who it is."""
        self.snapshots += 1
        (self.folder / "restored").write_text(json.dumps({"task_id": self.id, "function_id": self.function}))
        return Empty()

    async def FunctionGetInputs(self, request: Any) -> Any:
        waiting = self.plane.waiting[self.function]
        async with self.plane.came:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.plane.came.wait_for(lambda: bool(waiting)), INPUT_POLL_S)
        if not waiting:
            return api.FunctionGetInputsResponse()
        call = self.holds = waiting.pop(0)
        self.served += 1
        self.plane.start(self._limit(call))
        item = api.FunctionGetInputsItem(
            input_id=call.input_id,
            input=call.item.input,
            function_call_id=call.id,
            function_call_invocation_type=call.kind,
        )
        return api.FunctionGetInputsResponse(inputs=[item])

    async def _limit(self, call: Call) -> None:
        """Kill the container whose input takes longer than it was deployed for."""
        seconds = self.plane.definition(self.function).timeout_secs
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(call.done.wait(), seconds)
        if not call.done.is_set() and self.holds is call:
            call.finish(
                Result(status=Result.GENERIC_STATUS_TIMEOUT, exception=f"timed out after {seconds} s")
            )
            self.kill()

    def FunctionPutOutputs(self, request: Any) -> Any:
        for output in request.outputs:
            if self.holds is not None and self.holds.input_id == output.input_id:
                held, self.holds = self.holds, None
                held.finish(output.result, output.data_format)
        return Empty()

    def TaskResult(self, request: Any) -> Any:
        """It cannot start: who waits for it is told what it says, as the service does after some tries."""
        waiting = self.plane.waiting[self.function]
        while waiting:
            waiting.pop().finish(request.result)
        return Empty()


class StandIn:
    """The control plane in a thread of its own. Use it as a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="modal-stand-in")

    def __enter__(self) -> ControlPlane:
        self._thread.start()
        return asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _open(self) -> ControlPlane:
        self._plane = ControlPlane(self._folder)
        self._server, self._plane.url = await served(self._plane)
        return self._plane

    async def _close(self) -> None:
        self._plane.waiting.clear()  # nothing more is started
        for container in self._plane.containers:
            container.kill()
        await asyncio.gather(*(one.end for one in self._plane.containers if one.end is not None))
        for task in list(self._plane.tasks):
            task.cancel()
        await asyncio.gather(*self._plane.tasks, return_exceptions=True)
        self._server.close()
        await self._server.wait_closed()


@contextlib.contextmanager
def running(folder: Path) -> Iterator[ControlPlane]:
    """A control plane, and its containers in that folder."""
    with StandIn(folder) as plane:
        yield plane


def credentials(plane: ControlPlane) -> dict[str, str]:
    """The variables of a client that is logged in there."""
    return {
        "MODAL_SERVER_URL": plane.url,
        "MODAL_TOKEN_ID": "ak-nobody",
        "MODAL_TOKEN_SECRET": "as-nothing",
        "MODAL_CONFIG_PATH": str(plane.folder / "none.toml"),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as plane:
        plane.hides_gpus = False
        for name, value in credentials(plane).items():
            print(f"export {name}={value}", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
