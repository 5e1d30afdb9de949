"""A proxy before a real kube-apiserver that makes the failures that networks and servers make.

Plain HTTP (or TLS) on loopback in front, TLS behind; the client's own Authorization header travels on. It runs
in a thread of the test's process and is steered by plain method calls, each of which is in force when
it returns. Watches stream line by line. Not for production traffic: it speaks no HTTP/2 and no upgrades
(exec, port-forward).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import ssl
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

import uvloop

from keyferry.testing.apiproxy_engine import ApiFault, Engine, FaultKind, RequestRecord
from keyferry.testing.kuberequest import RequestMatch

T = TypeVar("T")


class ApiProxy:
    """A faulty way to an API server.

    Args:
        server: the API server's URL.
        tls: how to trust it; None for a server without TLS.
        serve_tls: certificate and key for clients that want TLS (kubectl sends no token without it);
            None for plain HTTP.
        port: the loopback port in front; 0 for a free one.
    """

    def __init__(
        self,
        server: str,
        *,
        tls: ssl.SSLContext | None = None,
        serve_tls: ssl.SSLContext | None = None,
        port: int = 0,
    ) -> None:
        self._server = server.rstrip("/")
        self._tls = tls
        self._serve_tls = serve_tls
        self._port = port
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._engine: Engine | None = None

    # Life

    def start(self) -> Self:
        """Listen; the proxy serves when this returns."""
        started = threading.Event()
        failures: list[BaseException] = []

        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            try:
                self._engine = await Engine.open(self._server, self._tls, self._port, self._serve_tls)
            except BaseException as error:
                failures.append(error)
                raise
            finally:
                started.set()
            await self._engine.stopped.wait()
            await self._engine.close()

        def run() -> None:
            with contextlib.suppress(Exception), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(serve())

        self._thread = threading.Thread(target=run, name="api-proxy", daemon=True)
        self._thread.start()
        started.wait()
        if failures:
            raise RuntimeError("the API server proxy did not start") from failures[0]
        return self

    def stop(self) -> None:
        """Cut everything and stop listening."""
        if self._loop and self._engine and self._thread:
            self._loop.call_soon_threadsafe(self._engine.stopped.set)
            self._thread.join(10)
            self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The address in front."""
        scheme = "https" if self._serve_tls else "http"
        return f"{scheme}://127.0.0.1:{self._running.held.port}"

    # Requests that fail

    def answer(
        self, status: int, *, times: int = 0, retry_after_s: int = 0, message: str = "", **match: str
    ) -> ApiFault:
        """Answer these requests with a status, without asking the server; `match` as in `RequestMatch`."""
        headers = {"Retry-After": str(retry_after_s)} if retry_after_s else {}
        return self._add(
            "answer",
            match,
            times=times,
            status=status,
            headers=headers,
            message=message or f"fault: {status}",
        )

    def delay(self, seconds: float, *, times: int = 0, **match: str) -> ApiFault:
        """Forward these requests later."""
        return self._add("delay", match, times=times, seconds=seconds)

    def hold(self, *, times: int = 0, **match: str) -> ApiFault:
        """Forward these requests only when the fault is removed."""
        return self._add("hold", match, times=times)

    def lose_requests(self, *, times: int = 0, **match: str) -> ApiFault:
        """Cut the connection at these requests; the server never hears of them."""
        return self._add("lose-request", match, times=times)

    def lose_answers(self, *, times: int = 0, **match: str) -> ApiFault:
        """Let the server act on these requests, then cut the connection: a write lost in transit."""
        return self._add("lose-answer", match, times=times)

    def remove(self, fault: ApiFault) -> None:
        """End a fault; what it holds goes on."""
        self._call(lambda engine: engine.remove(fault))

    def clear(self) -> None:
        """End all faults, let watches flow, listen again."""

        async def clear(engine: Engine) -> None:
            for fault in list(engine.faults):
                engine.remove(fault)
            engine.let_flow()
            await engine.held.open()

        self._run(clear)

    def outage(self) -> None:
        """Refuse connections and cut all that are open, until `clear`."""
        self._run(lambda engine: engine.held.refuse())

    # Watches that fail

    def cut_watches(self, resource: str = "*") -> int:
        """Cut the connections of all open watches of a resource (a glob); how many there were."""
        return self._call(lambda engine: engine.cut(resource))

    def cut_watches_after(self, lines: int, *, times: int = 1, **match: str) -> ApiFault:
        """Cut these watches to come in the midst of an event, when so many have been passed on."""
        return self._add("cut-watch", {"verb": "watch", **match}, times=times, lines=lines)

    def stall_watches(self, resource: str = "*") -> None:
        """Let watches of a resource fall silent, present and future ones, until `resume_watches`."""
        self._call(lambda engine: engine.stall(resource))

    def resume_watches(self) -> None:
        """Let silent watches flow again; what they missed comes now."""
        self._call(lambda engine: engine.let_flow())

    def send_watch_error(self, code: int, resource: str = "*") -> int:
        """End all open watches of a resource with an ERROR event, as the server does; how many there were."""
        return self._run(lambda engine: engine.send_error(code, resource))

    # What was asked

    def requests(self, **match: str) -> list[RequestRecord]:
        """The requests since the last reset, in order."""
        wanted = RequestMatch(**match)
        return self._call(lambda engine: list(engine.select(wanted)))

    def count(self, **match: str) -> int:
        """How many such requests there were since the last reset."""
        return len(self.requests(**match))

    def user_agents(self) -> set[str]:
        """Who asked since the last reset."""
        return {record.user_agent for record in self.requests()}

    def reset_requests(self) -> None:
        """Forget the requests that are over."""
        self._call(lambda engine: engine.reset())

    def open_watches(self, resource: str = "*") -> int:
        """How many watches of a resource are open."""
        return self._call(lambda engine: len(engine.watching(resource)))

    def wait_for_watches(self, count: int = 1, resource: str = "*", *, timeout_s: float = 10.0) -> None:
        """Wait until at least so many watches of a resource are open.

        Raises:
            TimeoutError: they were not in time.
        """
        self._wait(lambda engine: len(engine.watching(resource)) >= count, timeout_s)

    def wait_for_no_watches(self, resource: str = "*", *, timeout_s: float = 10.0) -> None:
        """Wait until no watch of a resource is open. Raises as `wait_for_watches`."""
        self._wait(lambda engine: not engine.watching(resource), timeout_s)

    def wait_for_requests(self, count: int = 1, *, timeout_s: float = 10.0, **match: str) -> None:
        """Wait until at least so many such requests have come. Raises as `wait_for_watches`."""
        wanted = RequestMatch(**match)

        def reached(engine: Engine) -> bool:
            return len(list(itertools.islice(engine.select(wanted), count))) >= count

        self._wait(reached, timeout_s)

    # Into the thread

    @property
    def _running(self) -> Engine:
        if self._engine is None or self._thread is None:
            raise RuntimeError("the API server proxy is not running")
        return self._engine

    def _run(self, work: Callable[[Engine], Coroutine[Any, Any, T]]) -> T:
        engine = self._running
        if self._loop is None:
            raise RuntimeError("the API server proxy is not running")
        return asyncio.run_coroutine_threadsafe(work(engine), self._loop).result(60)

    def _call(self, work: Callable[[Engine], T]) -> T:
        async def call(engine: Engine) -> T:
            return work(engine)

        return self._run(call)

    def _add(self, kind: FaultKind, match: dict[str, str], **fault: Any) -> ApiFault:
        made = ApiFault(kind, RequestMatch(**match), **fault)
        self._call(lambda engine: engine.faults.append(made))
        return made

    def _wait(self, reached: Callable[[Engine], bool], timeout_s: float) -> None:
        async def wait(engine: Engine) -> bool:
            try:
                async with asyncio.timeout(timeout_s), engine.changed:
                    await engine.changed.wait_for(lambda: reached(engine))
            except TimeoutError:
                return False
            return True

        if not self._run(wait):
            raise TimeoutError(f"the API server proxy did not see it within {timeout_s} s")
