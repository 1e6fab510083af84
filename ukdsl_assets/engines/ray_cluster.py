"""Workers that are tasks of a Ray cluster; the one file that imports Ray."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from ukdsl_assets.engines.engine import AHEAD, RETRIES, A, R, attempt, lost, value_of
from ukdsl_assets.engines.processes import THREADS_OF
from ukdsl_assets.errors import EngineError

# Ray's own messages of the cluster's processes are its log's.
QUIET = {"log_to_driver": False, "logging_level": "ERROR"}


@dataclass
class RayEngine:
    """Tasks on a cluster that is there already; one is never started or stopped here.

    Attributes:
        address: `auto` for the cluster that this process is in, or ray://host:10001.
        threads: cores that a task reserves and uses.
    """

    address: str
    threads: int = 1
    remote: bool = field(default=True, init=False)
    apart: bool = field(default=True, init=False)
    _connected: bool = field(default=False, init=False, repr=False)

    def map(self, work: Callable[[A], R], shards: Sequence[A], name: str) -> Iterator[R]:
        """As `Engine.map`; Ray itself tries a lost node's or process's shard again, on another where it must."""
        ray = self._ray()
        # A fixed number of cores a task: a machine's own number would reserve whole nodes.
        options: dict[str, Any] = {"num_cpus": self.threads, "max_retries": RETRIES, "retry_exceptions": False}
        # Libraries read them when they are first imported, so they are set before a worker starts.
        options["runtime_env"] = {"env_vars": dict.fromkeys(THREADS_OF, str(self.threads))}
        task = ray.remote(**options)(_attempt).options(name=name)
        # Pickled once, not once a shard; in a list Ray leaves it to each worker when to read it.
        given = [ray.put(work)]
        ahead = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)) // self.threads)
        waiting: deque[tuple[int, Any]] = deque()
        sent = 0
        try:
            while sent < len(shards) or waiting:
                while sent < len(shards) and len(waiting) < ahead:
                    waiting.append((sent, task.remote(given, shards[sent])))
                    sent += 1
                place, reference = waiting[0]
                try:
                    answer = ray.get(reference)
                except ray.exceptions.RayError as error:
                    raise lost(name, place, len(shards), f"Ray: {error}".splitlines()[0]) from error
                waiting.popleft()
                yield value_of(answer, name, place, len(shards))
        finally:
            for _, reference in waiting:
                ray.cancel(reference, force=True)

    def _ray(self) -> Any:
        import ray

        if not ray.is_initialized():
            try:
                ray.init(address=self.address, **QUIET)
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise EngineError(
                    f"No Ray cluster answers at UKDSL_ENGINE={self.address} ({error}). Start one, run inside it with "
                    "UKDSL_ENGINE=auto, or set UKDSL_ENGINE=local."
                ) from error
            self._connected = True
        return ray

    def close(self) -> None:
        """Leave the cluster, which goes on; not one that this process had joined before."""
        if self._connected:
            self._ray().shutdown()
            self._connected = False


def _attempt(given: list[Any], shard: Any) -> Any:
    return attempt(_work_of(given[0]), shard)


@lru_cache(maxsize=1)
def _work_of(reference: Any) -> Callable[[Any], Any]:
    """Read once in each process, not once a shard."""
    import ray

    work: Callable[[Any], Any] = ray.get(reference)
    return work
