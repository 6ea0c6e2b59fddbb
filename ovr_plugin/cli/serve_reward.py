"""``ovr serve-reward``: the reward over HTTP, for trainers that ask a remote one."""

from __future__ import annotations

import contextlib
import socket
from typing import Annotated

import typer

from ovr_plugin.cli.grading_settings import PolicyFile, TimeoutS, Workers, read_settings

ADDRESS, OPENRLHF, LIMITS = "Address", "OpenRLHF's queries", "Limits"
MAX_FILES = 65536  # connections; the usual soft limit is 1024


def serve_reward(
    host: Annotated[
        str, typer.Option(help="Where to listen; 0.0.0.0: everywhere.", rich_help_panel=ADDRESS)
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="0: a free one.", min=0, max=65535, rich_help_panel=ADDRESS)
    ] = 8000,
    policy: PolicyFile = None,
    timeout: TimeoutS = None,
    workers: Workers = None,
    end: Annotated[
        list[str] | None,
        typer.Option(
            help="A token that ends a response, as text (<|im_end|>); repeat it. A response "
            "without one was cut off and scores 0.",
            rich_help_panel=OPENRLHF,
        ),
    ] = None,
    response_start: Annotated[
        str | None,
        typer.Option(
            help="What opens the model's turn, for queries that do not hold their prompt.",
            show_default="<|im_start|>assistant",
            rich_help_panel=OPENRLHF,
        ),
    ] = None,
    max_body_mb: Annotated[
        float, typer.Option(help="Of one request, in MiB.", rich_help_panel=LIMITS)
    ] = 64,
    max_rows: Annotated[int, typer.Option(help="Of one request.", rich_help_panel=LIMITS)] = 8192,
    max_pending_mb: Annotated[
        float, typer.Option(help="Of all requests at a time, in MiB.", rich_help_panel=LIMITS)
    ] = 512,
    max_pending_rows: Annotated[
        int, typer.Option(help="Of all requests at a time.", rich_help_panel=LIMITS)
    ] = 65536,
    request_timeout: Annotated[
        float, typer.Option(help="Seconds for one request.", rich_help_panel=LIMITS)
    ] = 170,
) -> None:
    r"""Serve the reward over HTTP, to OpenRLHF (POST /get_reward) and others (POST /grade).

    GET /health tells whether it is up and how much is waiting. By default
    only this machine reaches it; there is no password. At Ctrl-C or SIGTERM
    what has begun is finished. Needs ovr-plugin\[serve].
    """
    try:
        from ovr_plugin.reward.http_server import RewardServer, serve
    except ModuleNotFoundError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    from ovr_plugin.reward.http_limits import Limits
    from ovr_plugin.reward.http_requests import RESPONSE_START, QueryFormat

    settings = read_settings(policy, timeout_s=timeout, n_workers=workers)
    try:
        limits = Limits(max_body_mb, max_rows, max_pending_mb, max_pending_rows, request_timeout)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    query_format = QueryFormat(response_start or RESPONSE_START, tuple(end or ()))
    server = RewardServer(settings.make_pool(), settings.policy, limits, query_format)
    _allow_many_connections()
    with _listen(host, port) as listener:
        address = listener.getsockname()
        url = (
            f"http://[{address[0]}]:{address[1]}" if ":" in host else f"http://{host}:{address[1]}"
        )
        if not _is_loopback(address[0]):
            typer.echo(f"Warning: whoever reaches {url} can use it: no password.", err=True)

        def ready() -> None:
            typer.echo(f"Grading at {url}/get_reward and /grade")

        def ended() -> None:
            counts = ", ".join(f"{n:,} {name}" for name, n in server.outcomes.most_common())
            typer.echo(f"Stopped. Graded: {counts or 'nothing'}")

        try:
            serve(server, listener, ready, ended)
        except RuntimeError as error:
            typer.echo(f"Not served: {error}", err=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            pass


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        typer.echo(f"Cannot listen at {host} port {port}: {error}", err=True)
        raise typer.Exit(1) from None


def _is_loopback(address: str) -> bool:
    from ipaddress import ip_address

    return ip_address(address).is_loopback


def _allow_many_connections() -> None:
    """Raise the soft limit of open files: trainers open a connection for each response."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(MAX_FILES, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
