"""`ukdsl ui`: the graph, its runs and the reports in a browser, with the daemon that runs what is launched there."""

import signal
import subprocess
import sys
from typing import Annotated

import typer

from ukdsl_assets.cli.common import console, read_settings, refuse_unless_free


def ui(
    host: Annotated[str, typer.Option(help="Address to listen at; whoever reaches it may launch runs.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen at.")] = 3000,
) -> None:
    """Open the Dagster UI with the reports of the lake; Ctrl-C ends both it and the daemon."""
    import uvicorn

    from ukdsl_assets.defs.home import instance
    from ukdsl_assets.defs.web import daemon_command, web_application

    settings = read_settings()
    refuse_unless_free(host, port)
    # Whoever stops the UI, by Ctrl-C or otherwise, stops the daemon too: two of them launch every run twice.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # The daemon opens DAGSTER_HOME too; by then it must be there.
    with instance() as home:
        application = web_application(home, settings)
        # In this folder, from which relative paths of the settings count there too.
        daemon = subprocess.Popen(daemon_command())
        console.print(f"Dagster UI: http://{host}:{port}  (Ctrl-C ends it)", highlight=False)
        try:
            uvicorn.run(application, host=host, port=port, log_level="warning")
        finally:
            daemon.terminate()
            daemon.wait()
