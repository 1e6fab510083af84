"""Load at planned times: requests a second that do not wait for answers, so that a queue is seen as latency.

A client that sends the next request when the last was answered slows down with a slow server and hides what a user
would have waited (coordinated omission). Here each request has a moment at which it is due, and its latency is counted
from that moment, whether a connection was free then or not.
"""

import asyncio
import gc
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

TICKS_A_SECOND = 100


class Answer(NamedTuple):
    """A reply: to which request, its status (0 where the connection broke) and body; due, sent and there in seconds."""

    number: int
    status: int
    body: bytes
    due: float
    sent: float
    there: float


@dataclass(frozen=True)
class Target:
    """Where requests go."""

    host: str
    port: int
    path: str
    content_type: str = "application/json"

    def request(self, body: bytes) -> bytes:
        """The bytes of a POST of HTTP/1.1 on a connection that stays open."""
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: {self.host}\r\nContent-Type: {self.content_type}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


async def open_loop(
    target: Target, bodies: Sequence[bytes], per_second: float, seconds: float, connections: int = 32
) -> list[Answer]:
    """Answers to requests that are due at equal distances, bodies taken in turn.

    A request that finds no free connection waits for one, and its wait counts.
    """
    requests = [target.request(body) for body in bodies]
    # A collection of this process's garbage takes a quarter of a second, and would be told as the server's.
    gc.collect()
    gc.disable()
    try:
        return await _answers(target, requests, per_second, seconds, connections)
    finally:
        gc.enable()


async def _answers(
    target: Target, requests: Sequence[bytes], per_second: float, seconds: float, connections: int
) -> list[Answer]:
    free: asyncio.Queue[_Connection] = asyncio.Queue()
    for _ in range(connections):
        free.put_nowait(await _Connection.open(target))
    start, answers = time.perf_counter() + 0.05, list[Answer]()

    async def one(number: int, due: float) -> None:
        connection = await free.get()
        sent = time.perf_counter()
        try:
            status, body = await connection.ask(requests[number % len(requests)])
        except (OSError, asyncio.IncompleteReadError, ValueError):
            status, body = 0, b""
            connection = await _Connection.open(target)
        answers.append(Answer(number, status, body, due, sent, time.perf_counter()))
        free.put_nowait(connection)

    tasks = []
    for number in range(int(per_second * seconds)):
        due = start + number / per_second
        while (left := due - time.perf_counter()) > 0:
            # A sleep of the loop may be a millisecond late; the last one is spent giving way to answers.
            await asyncio.sleep(left - 0.001 if left > 0.0015 else 0)
        tasks.append(asyncio.create_task(one(number, due)))
    await asyncio.gather(*tasks)
    while not free.empty():
        free.get_nowait().close()
    return answers


async def closed_loop(target: Target, bodies: Sequence[bytes], count: int, connections: int) -> float:
    """Seconds until that many requests were answered, each connection asking as soon as it was answered."""
    requests, left = [target.request(body) for body in bodies], iter(range(count))

    async def keep_asking(connection: "_Connection") -> None:
        for number in left:
            status, body = await connection.ask(requests[number % len(requests)])
            assert status == 200, body
        connection.close()

    opened = [await _Connection.open(target) for _ in range(connections)]
    start = time.perf_counter()
    await asyncio.gather(*(keep_asking(connection) for connection in opened))
    return time.perf_counter() - start


class Latencies(NamedTuple):
    """Milliseconds from the moment a request was due, and how many requests failed."""

    requests: int
    errors: int
    p50: float
    p99: float
    most: float


def latencies(answers: Sequence[Answer]) -> Latencies:
    """Of all answers; those that failed count with the time that they took."""
    milliseconds: NDArray[np.float64] = np.array([(each.there - each.due) * 1e3 for each in answers])
    p50, p99, most = (float(np.percentile(milliseconds, at)) for at in (50, 99, 100))
    return Latencies(len(answers), sum(each.status != 200 for each in answers), p50, p99, most)


def cpu_seconds(pid: int) -> float:
    """Processor seconds that a process has taken so far, in user and kernel, with its threads."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / TICKS_A_SECOND


class _Connection:
    """One kept-alive connection that has one request under way at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, target: Target) -> "_Connection":
        return cls(*await asyncio.open_connection(target.host, target.port))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head[9:12])
        if b"transfer-encoding: chunked" in head:
            return status, await self._chunks()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        return status, await self._reader.readexactly(length)

    async def _chunks(self) -> bytes:
        parts = []
        while size := int((await self._reader.readuntil(b"\r\n")).strip(), 16):
            parts.append((await self._reader.readexactly(size + 2))[:-2])
        await self._reader.readexactly(2)
        return b"".join(parts)

    def close(self) -> None:
        self._writer.close()
