"""A DDS participant in a ROS 2 graph: readers and writers with the names, types and QoS of ROS 2.

It is not a full ROS node: it has no parameters, no services, no clock. It shows up in `ros2 node list`
because it announces itself as ROS nodes do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fcn_edge_runtime._extras import require
from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.robot.dds.discovery import (
    PARTICIPANT_HASH,
    TYPE_HASHES,
    Distro,
    encode_participant_info,
)
from fcn_edge_runtime.robot.dds.transport import Transport

__all__ = ["DdsNode", "DdsReader", "DdsWriter", "import_cyclonedds", "open_node"]

# The longest time that a reliable reader which has stopped reading may block a write.
_MAX_BLOCKING_NS = 100_000_000
_ENDLESS = 2**63 - 1


def import_cyclonedds() -> None:
    """Import cyclonedds, or explain how to get it.

    Raises:
        InputError: it is not installed, or its library does not load.
    """
    hint = " (wheels exist for Linux x86-64; see `fcn-edge robot doctor`)"
    require("cyclonedds.core", "talking to ROS 2", hint=hint)


@dataclass(frozen=True)
class DdsWriter:
    """Writes messages in CDR to one topic."""

    topic: str
    guid: bytes
    kind: Any
    raw: Any

    def write(self, data: bytes) -> bool:
        """Write one message; False if a reliable reader that does not read blocked it until the time-out."""
        from cyclonedds.core import DDSException

        try:
            self.raw.write(self.kind.of(data))
        except DDSException as error:
            if error.code == DDSException.DDS_RETCODE_TIMEOUT:
                return False
            raise
        return True

    @property
    def listeners(self) -> int:
        """The number of matched readers."""
        return len(self.raw.get_matched_subscriptions())


@dataclass(frozen=True)
class DdsReader:
    """Takes the newest message in CDR from one topic."""

    topic: str
    guid: bytes
    raw: Any
    waitset: Any

    def take(self, timeout: float) -> bytes | None:
        """Wait up to `timeout` seconds for a message; None if none arrived."""
        if not self.waitset.wait(int(timeout * 1e9)):
            return None
        data = None
        for sample in self.raw.take(N=64):
            data = getattr(sample, "raw", data)  # writers that leave produce samples without data
        return data

    @property
    def publishers(self) -> int:
        """The number of matched writers, QoS included."""
        return len(self.raw.get_matched_publications())


class DdsNode:
    """One participant that represents one node. Created by `open_node`."""

    def __init__(self, transport: Transport, distro: Distro, name: str, namespace: str) -> None:
        from cyclonedds.domain import Domain, DomainParticipant
        from cyclonedds.qos import Policy, Qos

        from fcn_edge_runtime.robot.dds.types import DDS_TYPES, participant_info_type

        self.distro, self.name, self.namespace = distro, name, namespace
        self.kinds = DDS_TYPES
        self._domain = Domain(transport.domain, transport.xml())
        self.participant = DomainParticipant(transport.domain, Qos(Policy.Userdata(b"enclave=/;")))
        self._readers: list[DdsReader] = []
        self._writers: list[DdsWriter] = []
        info = participant_info_type(distro.gid_bytes)
        self._info = self._writer("ros_discovery_info", info, latched=True, type_hash=PARTICIPANT_HASH)

    def writer(self, topic: str, kind: str, *, latched: bool = False) -> DdsWriter:
        """A reliable writer of depth 1; latched: late readers get the last message (transient_local)."""
        writer = self._writer(f"rt{topic}", self.kinds[kind], latched=latched, type_hash=TYPE_HASHES[kind])
        self._writers.append(writer)
        return writer

    def reader(
        self, topic: str, kind: str, *, reliable: bool = False, latched: bool = False, depth: int = 1
    ) -> DdsReader:
        """A reader, by default for sensor data: best effort, depth 1, which keeps only the newest frame."""
        from cyclonedds.core import InstanceState as State
        from cyclonedds.core import ReadCondition, SampleState, ViewState, WaitSet
        from cyclonedds.sub import DataReader
        from cyclonedds.topic import Topic

        qos = self._qos(reliable=reliable, latched=latched, depth=depth, type_hash=TYPE_HASHES[kind])
        raw = DataReader(self.participant, Topic(self.participant, f"rt{topic}", self.kinds[kind]), qos)
        waitset = WaitSet(self.participant)
        waitset.attach(ReadCondition(raw, SampleState.Any | ViewState.Any | State.Any))
        reader = DdsReader(topic, raw.guid.bytes, raw, waitset)
        self._readers.append(reader)
        return reader

    def announce(self) -> None:
        """Announce this node to the graph. Call it once all readers and writers exist."""
        self._info.write(
            encode_participant_info(
                self.distro,
                self.participant.guid.bytes,
                self.namespace,
                self.name,
                [reader.guid for reader in self._readers],
                [writer.guid for writer in self._writers],
            )
        )

    def close(self) -> None:
        """Leave the graph. Entities are deleted before their participant, and the domain last."""
        self._readers.clear()
        self._writers.clear()
        for entity in (self.participant, self._domain):
            with contextlib.suppress(Exception):
                entity._delete(entity._ref)  # noqa: SLF001 - cyclonedds frees only by garbage collection

    def _writer(self, name: str, kind: Any, *, latched: bool, type_hash: str) -> DdsWriter:
        from cyclonedds.pub import DataWriter
        from cyclonedds.topic import Topic

        qos = self._qos(reliable=True, latched=latched, depth=1, type_hash=type_hash)
        raw = DataWriter(self.participant, Topic(self.participant, name, kind), qos)
        return DdsWriter(name, raw.guid.bytes, kind, raw)

    def _qos(self, *, reliable: bool, latched: bool, depth: int, type_hash: str) -> Any:
        from cyclonedds.qos import Policy, Qos

        policies = [
            Policy.Reliability.Reliable(_MAX_BLOCKING_NS) if reliable else Policy.Reliability.BestEffort,
            Policy.Durability.TransientLocal if latched else Policy.Durability.Volatile,
            Policy.History.KeepLast(depth),
            Policy.DataRepresentation(use_cdrv0_representation=True, use_xcdrv2_representation=False),
        ]
        if latched:
            policies.append(
                Policy.DurabilityService(0, Policy.History.KeepLast(depth), _ENDLESS, _ENDLESS, _ENDLESS)
            )
        if self.distro.type_hashes:
            policies.append(Policy.Userdata(f"typehash={type_hash};".encode()))
        return Qos(*policies)


@contextlib.contextmanager
def open_node(
    transport: Transport, distro: Distro, name: str = "fcn_edge_bridge", namespace: str = "/"
) -> Iterator[DdsNode]:
    """Join a ROS 2 graph.

    Raises:
        InputError: cyclonedds is missing, or DDS does not start on the interface.
    """
    import_cyclonedds()
    from cyclonedds.core import DDSException

    try:
        node = DdsNode(transport, distro, name, namespace)
    except DDSException as error:
        raise InputError(
            f"DDS does not start in domain {transport.domain} on {transport.interface or 'any interface'} "
            f"({' '.join(str(error).split())[:200]}): see `fcn-edge robot doctor`, and CYCLONEDDS_URI if set"
        ) from None
    try:
        yield node
    finally:
        node.close()
