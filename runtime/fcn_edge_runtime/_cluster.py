"""Work that a Ray cluster does: actors open what they need once, and get a new item for each they return."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from fcn_edge_runtime._extras import require
from fcn_edge_runtime._stdio import captured_output
from fcn_edge_runtime.errors import FcnEdgeError, UsageError

__all__ = ["LOCAL", "MOST_WORKERS", "done_by_actors"]

LOCAL = "local"
MOST_WORKERS = 1024
_AHEAD = 2  # items an actor: one that it works on, and one that waits
_TRIES = 3  # of an item whose actor is lost

T = TypeVar("T")


def done_by_actors(
    kind: type, job: Any, items: Iterable[T], address: str, count: int | None, most: int | None = None
) -> Iterator[tuple[T, Any]]:
    """Do items by actors, and give each with its result, in any order.

    An actor that is lost is started again, and what it had is done again, up to three times.

    Args:
        kind: class of the actors, whose method `do` takes an item.
        job: what each is made with.
        items: what to do; they are asked for when there is an actor for them.
        address: of the cluster: `local` starts one on this machine, `auto` finds the one that runs here.
        count: of actors; None is one for each core of the cluster.
        most: actors that are of use.

    Raises:
        UsageError: there is no cluster at the address.
        FcnEdgeError: Ray does not start here; an actor raised it, or was lost again and again.
    """
    ray = require("ray", "working on a cluster", FcnEdgeError)
    ours = not ray.is_initialized()
    if ours:
        _connect(ray, address, count)
    actors = []
    try:
        cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
        wanted = min(cores if count is None else count, MOST_WORKERS if most is None else max(1, most))
        remote = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=_TRIES)(kind)
        actors = [remote.remote(job) for _ in range(wanted)]
        yield from _shared(ray, actors, iter(items))
    finally:
        for actor in actors:
            ray.kill(actor)
        if ours:
            ray.shutdown()


def _connect(ray: Any, address: str, count: int | None) -> None:
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error", "include_dashboard": False}
    try:
        if address == LOCAL:
            ray.init(address="local", num_cpus=count, **options)
        else:
            del options["include_dashboard"]
            with captured_output():  # each of its attempts is a line
                ray.init(address=address, **options)
    except Exception as error:  # noqa: BLE001 - Ray raises errors of many classes, all of which mean this
        reason = " ".join(str(error).split())[:200]
        if address == LOCAL:
            raise FcnEdgeError(
                f"Ray does not start on this machine ({reason}): try again, or without --ray"
            ) from None
        raise UsageError(
            f"no Ray cluster answers at {address} ({reason}): start one with `ray start --head`, or give "
            "--ray local"
        ) from None


def _shared(ray: Any, actors: list[Any], items: Iterator[T]) -> Iterator[tuple[T, Any]]:
    running: dict[Any, tuple[Any, T]] = {}

    def give(actor: Any) -> None:
        for item in items:
            running[actor.do.remote(item)] = actor, item
            return

    for _ in range(_AHEAD):
        for actor in actors:
            give(actor)
    while running:
        (done,), _ = ray.wait(list(running), num_returns=1)
        actor, item = running.pop(done)
        try:
            result = ray.get(done)
        except ray.exceptions.RayTaskError as error:
            raise _cause(error) from None
        except ray.exceptions.RayError as error:
            reason = " ".join(str(error).split())[:300]
            raise FcnEdgeError(f"a worker on the cluster failed ({reason}): try again") from None
        give(actor)
        yield item, result


def _cause(error: Any) -> Exception:
    """The error of ours inside one of Ray's."""
    return error.cause if isinstance(error.cause, FcnEdgeError) else error
