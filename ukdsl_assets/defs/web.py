"""Dagster's own web server and a day's report and pictures, so that links on an asset's page open them.

A browser follows no link from a page of http to a file, so the report must come from where the page comes from.
"""

import sys
from datetime import date
from html import escape
from typing import TYPE_CHECKING

import dagster as dg

from ukdsl_assets.defs.ended_days import count_days_back_from_their_end
from ukdsl_assets.defs.graph.pictures import picture_place
from ukdsl_assets.errors import LakeError
from ukdsl_assets.lake.storage import Storage
from ukdsl_assets.reports.html import report_place
from ukdsl_assets.settings import Settings, project_file

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

# A report is one file that needs nothing else and runs nothing; the browser holds it to that.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox allow-popups"


def daemon_command() -> list[str]:
    """Starts Dagster's daemon, which runs what the UI launches, for the same code locations as `web_application`."""
    return [sys.executable, "-m", "dagster._daemon", "run", "--workspace", str(project_file("workspace.yaml"))]


def read_report(settings: Settings, cascade: str, day: str) -> bytes | None:
    """The report of a day as it lies in the lake, None where there is none or the address names no cascade or day.

    Raises:
        LakeError: it is there and cannot be read.
    """
    storage = Storage(settings.lake)
    try:
        place = report_place(cascade, date.fromisoformat(day))
    except ValueError:
        return None
    # A name is one folder's: nothing outside the reports can be asked for.
    return storage.read(storage.path(*place)) if cascade.isidentifier() else None


def read_picture(settings: Settings, cascade: str, day: str, student: str) -> bytes | None:
    """A student's picture of a day as it lies in the lake, None where there is none; raises LakeError as above."""
    storage = Storage(settings.lake)
    if not (cascade.isidentifier() and student.isidentifier()):
        return None
    try:
        return storage.read(storage.path(*picture_place(cascade, date.fromisoformat(day), student)))
    except ValueError:
        return None


def picture_response(settings: Settings, cascade: str, day: str, student: str) -> "Response":
    """What a browser gets for a student's picture of a day; nothing where there is none or it cannot be read."""
    from starlette.responses import Response

    try:
        content = read_picture(settings, cascade, day, student)
    except LakeError as error:
        return Response(str(error), 500)
    return Response(status_code=404) if content is None else Response(content, media_type="image/png")


def report_response(settings: Settings, cascade: str, day: str) -> "Response":
    """What a browser gets for a day's report: the report, or in words why there is none."""
    from starlette.responses import HTMLResponse

    try:
        content = read_report(settings, cascade, day)
    except LakeError as error:
        return HTMLResponse(f"<p>{escape(str(error))}</p>", 500)
    if content is None:
        return HTMLResponse("<p>There is no report of this day; <code>ukdsl report</code> makes one.</p>", 404)
    return HTMLResponse(content, headers={"Content-Security-Policy": POLICY})


def web_application(instance: dg.DagsterInstance, settings: Settings) -> "Starlette":
    """The UI of `instance` and of this project's definitions, and the reports of the lake of `settings`.

    The definitions are loaded in a process of their own, which ends with the application.
    """
    from contextlib import asynccontextmanager

    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import WorkspaceFileTarget
    from dagster_webserver.webserver import DagsterWebserver
    from starlette.routing import Route

    count_days_back_from_their_end()

    class WebserverWithReports(DagsterWebserver):
        def report_endpoint(self, request: "Request") -> "Response":
            return report_response(settings, request.path_params["cascade"], request.path_params["day"])

        def picture_endpoint(self, request: "Request") -> "Response":
            return picture_response(settings, **request.path_params)

        def build_routes(self) -> list:
            ours = [
                Route("/reports/{cascade}/{day}", self.report_endpoint),
                Route("/reports/{cascade}/{day}/{student}.png", self.picture_endpoint),
            ]
            return [*ours, *super().build_routes()]

    target = WorkspaceFileTarget(paths=[str(project_file("workspace.yaml"))])
    workspace = WorkspaceProcessContext(instance, workspace_load_target=target)

    @asynccontextmanager
    async def lifespan(_: "Starlette"):  # type: ignore[no-untyped-def]
        with workspace:
            yield

    return WebserverWithReports(workspace).create_asgi_app(lifespan=lifespan)
