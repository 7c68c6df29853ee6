"""The process of the service: its port, and how it stops."""

import socket
from collections.abc import Callable
from typing import Any

import uvicorn

__all__ = ["listen", "serve"]


def listen(host: str, port: int) -> socket.socket:
    """Take a port, before a model is loaded for nothing; nobody can connect yet.

    Args:
        host: name or number of one of the machine's addresses.
        port: 0 takes a free one.

    Raises:
        OSError: if the port cannot be had.
    """
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def serve(app: Any, listener: socket.socket, timeout: float, ready: Callable[[str], Any]) -> None:
    """Serve an application until SIGTERM or Ctrl-C; requests that are under way are answered first.

    Args:
        app: as `build_app` returns it.
        listener: as `listen` returns it.
        timeout: seconds for them to be answered in.
        ready: is told the address once the service can be reached there.
    """

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            host, port = listener.getsockname()[:2]
            ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,  # which would hold whatever stands in an address
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=max(1, round(timeout)),
    )
    server = Server(config)
    try:
        server.run(sockets=[listener])
    except (KeyboardInterrupt, SystemExit):  # the signal that it has stopped for, raised once more
        if not server.started:
            raise
