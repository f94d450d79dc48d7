"""A transport that speaks to public addresses only, for URLs that somebody else wrote.

A conversation may hold any address, such as that of a cloud's metadata service or of a database behind the firewall. A
name is no protection: it may point anywhere, and somewhere else a moment later. So it is the connection that is checked,
by the address at its other end, before anything is written to it.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

import httpx

from modelwire._transport import HttpxTransport, shared_tls
from modelwire._transport.closing import uninterrupted
from modelwire.errors import ConnectionFailedError


class PublicTransport(HttpxTransport):
    """Sends no credentials, follows no redirects, and uses no proxy, which would hide whom it connects to."""

    def __init__(self) -> None:
        self._own = httpx.AsyncClient(
            verify=shared_tls(True),
            trust_env=False,
            timeout=httpx.Timeout(30),  # where the request sets none
            event_hooks={"request": [_watch]},
        )
        super().__init__(http_client=self._own)

    async def aclose(self) -> None:
        """Close all connections; repeatable."""
        try:
            await super().aclose()
        finally:
            await uninterrupted(self._own.aclose)


async def _watch(request: httpx.Request) -> None:
    request.extensions["trace"] = _check


async def _check(event: str, info: dict[str, Any]) -> None:
    """Called by httpcore at each step: https://www.encode.io/httpcore/extensions/#trace."""
    if not event.endswith("connect_tcp.complete"):
        return
    stream = info["return_value"]
    address: str = stream.get_extra_info("server_addr")[0]
    if not is_public(address):
        await stream.aclose()
        raise ConnectionFailedError(f"{address} is no public address", retryable=False)


_NAT64 = IPv6Network("64:ff9b::/96")
"""Where gateways show IPv4 addresses: RFC 6052."""


def is_public(address: str) -> bool:
    """Whether anybody on the internet can reach this IP address."""
    ip = ip_address(address)
    if isinstance(ip, IPv6Address):
        behind = IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None
        ip = ip.ipv4_mapped or ip.sixtofour or (ip.teredo and ip.teredo[1]) or behind or ip
    return ip.is_global and not ip.is_multicast
