"""Settings of Cyclone DDS that large images need.

By default Cyclone sends an image in fragments of 1.3 KB into a socket buffer of the kernel's default size,
and a 1080p stream loses most frames. With larger datagrams and a receive buffer of 4 MB every frame arrives.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from fcn_edge_runtime._text import printable
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.robot.dds.peers import resolved
from fcn_edge_runtime.robot.socket_buffer import WANTED_BUFFER, receive_buffer_limit

__all__ = ["Transport"]

# Vendors eProsima and Eclipse: their type objects may differ from ours although names and fields are equal.
_MATCH_BY_NAME = "1.15,1.16"
_MAX_DOMAIN = 232


@dataclass(frozen=True)
class Transport:
    """The domain and the network of the participant.

    Attributes:
        domain: the ROS domain, 0 to 232.
        interface: the network interface, such as "eth0"; "lo" stays on this machine; None lets Cyclone
            choose.
        peers: addresses to contact directly where multicast is blocked.
    """

    domain: int = 0
    interface: str | None = None
    peers: Sequence[str] = ()

    @classmethod
    def from_environment(
        cls,
        domain: int | None = None,
        interface: str | None = None,
        peers: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> Transport:
        """The given values, else those of ROS 2: ROS_DOMAIN_ID, and ROS_LOCALHOST_ONLY or its successor.

        Raises:
            UsageError: the domain is not a number from 0 to 232, or a peer is not an address.
            InputError: a peer cannot be resolved.
        """
        values = os.environ if environment is None else environment
        if domain is None:
            text = values.get("ROS_DOMAIN_ID") or "0"
            if not text.isdecimal() or len(text) > 9:
                raise UsageError(
                    f"ROS_DOMAIN_ID is '{printable(text, 40)}', expected a whole number from 0 to "
                    f"{_MAX_DOMAIN}"
                )
            domain = int(text)
        if not 0 <= domain <= _MAX_DOMAIN:
            raise UsageError(f"the domain is {domain}, expected a whole number from 0 to {_MAX_DOMAIN}")
        here = (
            values.get("ROS_LOCALHOST_ONLY") == "1"
            or values.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "").upper() == "LOCALHOST"
        )
        return cls(domain, interface or ("lo" if here else None), tuple(map(resolved, peers)))

    def xml(self, *, buffer: int | None = None) -> str:
        """The configuration for Cyclone, followed by that of CYCLONEDDS_URI, which takes precedence.

        Args:
            buffer: required bytes of the receive buffer; None is 4 MB, or as much as the kernel allows.
        """
        size = min(WANTED_BUFFER, receive_buffer_limit() or WANTED_BUFFER) if buffer is None else buffer
        local = self.interface == "lo"
        peers = [*self.peers, *(["127.0.0.1"] if local else [])]
        interfaces = (
            f"<Interfaces><NetworkInterface name={quoteattr(self.interface)}/></Interfaces>"
            if self.interface
            else ""
        )
        multicast = "<AllowMulticast>false</AllowMulticast>" if local else ""
        listed = "".join(f"<Peer Address={quoteattr(peer)}/>" for peer in peers)
        discovery = (
            "<ParticipantIndex>auto</ParticipantIndex><MaxAutoParticipantIndex>32</MaxAutoParticipantIndex>"
            f"<Peers>{listed}</Peers>"
            if peers
            else ""
        )
        ours = (
            '<CycloneDDS><Domain Id="any"><General>'
            f"{interfaces}{multicast}"
            "<MaxMessageSize>65500B</MaxMessageSize><FragmentSize>4000B</FragmentSize></General>"
            f"<Discovery>{discovery}</Discovery>"
            f'<Internal><SocketReceiveBufferSize min="{size}B"/></Internal>'
            f"<Compatibility><IgnoreTypeInformation>{escape(_MATCH_BY_NAME)}</IgnoreTypeInformation>"
            "</Compatibility></Domain></CycloneDDS>"
        )
        theirs = os.environ.get("CYCLONEDDS_URI", "")
        return f"{ours},{theirs}" if theirs else ours
