"""`ukdsl serve`: released students answer over HTTP."""

import logging
from importlib.util import find_spec
from typing import Annotated

import typer

from ukdsl_assets.cli.common import console, find_cascades, hints, read_settings, refuse_unless_free, speech, text_width
from ukdsl_assets.cli.completion import cascade_names
from ukdsl_assets.errors import DeclarationError

# What the extra `serve` brings.
_NEEDED = ("starlette", "uvicorn", "uvloop", "httptools", "prometheus_client", "onnxruntime")


def serve(
    served: Annotated[
        list[str],
        typer.Argument(
            metavar="CASCADE...",
            help="Cascades to serve, or CASCADE/STUDENT for one student of it.",
            autocompletion=cascade_names,
        ),
    ],
    host: Annotated[str, typer.Option(help="Address to listen at; whoever reaches it may ask.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen at.")] = 8000,
    reload_seconds: Annotated[
        float, typer.Option(min=0.1, max=3600, help="How often to look for what is released.")
    ] = 5.0,
    write_logs: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Folder or URI to write what was shown to, as logs of the next day."),
    ] = None,
    log_seconds: Annotated[float, typer.Option(min=0.1, max=3600, help="With --write-logs: a file so often.")] = 10.0,
    trust_events: Annotated[
        bool,
        typer.Option("--trust-events", help="Take events of pages that another server answered, unseen."),
    ] = False,
    page_ms: Annotated[int, typer.Option(min=1, max=60_000, help="After so long a page gets the static order.")] = 100,
    request_seconds: Annotated[
        float, typer.Option(min=0.1, max=600, help="For a body to come in, and for rows to be scored.")
    ] = 5.0,
    body_megabytes: Annotated[int, typer.Option(min=1, max=1024, help="Most that a body may be.")] = 8,
    rows: Annotated[int, typer.Option(min=1, max=1_000_000, help="Most candidates or events of a request.")] = 10_000,
    concurrency: Annotated[
        int, typer.Option(min=1, max=10_000, help="Requests that are scored at a time, or wait for it.")
    ] = 64,
    threads: Annotated[int, typer.Option(min=1, max=256, help="Threads that score.")] = 2,
    stop_seconds: Annotated[
        int, typer.Option(min=1, max=3600, help="For requests under way once it is asked to stop, and then for logs.")
    ] = 20,
) -> None:
    """Serve released students over HTTP; SIGTERM or Ctrl-C ends it."""
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise DeclarationError(
            f"ukdsl serve needs {', '.join(missing)}, which is not installed: pip install 'ukdsl-assets[serve]'"
        )
    from ukdsl_assets.serving.http.limits import MEGABYTE, Limits
    from ukdsl_assets.serving.http.server import is_loopback, plan_of, static_pages
    from ukdsl_assets.serving.http.server import serve as run

    settings = read_settings()
    limits = Limits(
        body_megabytes * MEGABYTE, rows, page_ms / 1e3, request_seconds, concurrency, threads, float(stop_seconds)
    )
    plan = plan_of(
        settings, find_cascades(settings), served, limits, reload_seconds, write_logs, log_seconds, trust_events
    )
    if not speech.verbose:
        # What the models do is told without being asked for; a server's log is its screen.
        logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
        logging.getLogger("ukdsl_assets").setLevel(logging.INFO)
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    students = ", ".join("/".join(key) for key in plan.keys)
    console.print(f"Serving {students}", highlight=False, width=text_width())
    console.print(f"{address}  (Ctrl-C ends it)", highlight=False, soft_wrap=True)
    hints.print(
        f"{address}/ready says which models answer, /openapi.json what to ask.", highlight=False, soft_wrap=True
    )
    for told in static_pages(plan):
        console.print(told, highlight=False, width=text_width())
    if not is_loopback(host):
        console.print(
            f"{host} is reached from other machines: whoever reaches it may ask, without a password and in clear text. "
            "Put a proxy with TLS and a check of who asks before it.",
            highlight=False,
            width=text_width(),
        )
    refuse_unless_free(host, port)
    run(plan, host, port)
