"""What `ukdsl serve` runs: the app of some cascades of a lake, on uvicorn, until it is asked to stop."""

import ipaddress
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.errors import DeclarationError, did_you_mean
from ukdsl_assets.lake.checkpoints.releases import ReleaseStore
from ukdsl_assets.serving.http.exports import Exports
from ukdsl_assets.serving.http.follow import Follower
from ukdsl_assets.serving.http.limits import Limits
from ukdsl_assets.serving.http.log_columns import refusal
from ukdsl_assets.serving.http.metrics import Metrics
from ukdsl_assets.serving.http.models import Key, Models
from ukdsl_assets.serving.http.page_inputs import PageInputs
from ukdsl_assets.serving.http.page_log import PageLog
from ukdsl_assets.serving.http.service import Service
from ukdsl_assets.settings import Settings

if TYPE_CHECKING:
    from starlette.applications import Starlette

# Seconds that a thread may keep the interpreter from others: what writes logs must not hold up a page. Without logs the
# others have little to do at a time, and are better left to end it.
SWITCH_SECONDS = 0.0005


@dataclass(frozen=True)
class Plan:
    """What a server serves, and how.

    Attributes:
        lake: its root; checkpoints: where its releases are.
        cascades: by name; keys: their students that must have a model.
        reload_seconds: between two looks at what is released.
        write_logs: folder of logs, None for none; log_seconds: after which what was served is written.
        trust_events: of `Service`.
    """

    lake: str
    checkpoints: str
    cascades: Mapping[str, Cascade]
    keys: tuple[Key, ...]
    limits: Limits = field(default_factory=Limits)
    reload_seconds: float = 5.0
    write_logs: str | None = None
    log_seconds: float = 10.0
    trust_events: bool = False


def plan_of(
    settings: Settings,
    cascades: Mapping[str, Cascade],
    served: Sequence[str],
    limits: Limits | None = None,
    reload_seconds: float = 5.0,
    write_logs: str | None = None,
    log_seconds: float = 10.0,
    trust_events: bool = False,
) -> Plan:
    """The plan of what was asked for.

    Args:
        cascades: all that are declared; served: names of those to serve, or CASCADE/STUDENT.

    Raises:
        DeclarationError: an unknown name, a cascade without students, or one whose logs the server cannot write.
    """
    keys: dict[Key, None] = {}
    for word in served:
        name, of_one, student = word.partition("/")
        if name not in cascades:
            raise DeclarationError(
                f"no cascade `{name}`; declared are {', '.join(cascades)}{did_you_mean(name, cascades)}"
            )
        students = [each.name for each in cascades[name].students]
        if not students:
            raise DeclarationError(f"{name}: it declares no students, expected one to serve; add it under `students`")
        if of_one and student not in students:
            near = did_you_mean(student, students)
            raise DeclarationError(f"{name} has no student `{student}`; declared are {', '.join(students)}{near}")
        keys |= dict.fromkeys((name, each) for each in ([student] if of_one else students))
    chosen = {name: cascades[name] for name, _ in keys}
    if write_logs is not None and (wrong := [told for each in chosen.values() if (told := refusal(each))]):
        raise DeclarationError("; ".join(wrong))
    return Plan(
        settings.lake,
        settings.checkpoints,
        chosen,
        tuple(keys),
        limits or Limits(),
        reload_seconds,
        write_logs,
        log_seconds,
        trust_events,
    )


def static_pages(plan: Plan) -> list[str]:
    """A line for each cascade whose pages need a student that is not served, so that they stay in the static order."""
    told = []
    for name, cascade in plan.cascades.items():
        needed = PageInputs(cascade, plan.write_logs is not None).students
        if missing := [student for student in needed if (name, student) not in plan.keys]:
            told.append(
                f"Pages of {name} stay in the static order: they need {', '.join(missing)} too, which is not served; "
                f"name {name} alone for all of its students."
            )
    return told


def built(plan: Plan) -> "tuple[Starlette, Service, Follower]":
    """The app of a plan; it begins to look for models where it is started."""
    from ukdsl_assets.serving.http.app import app_of

    models = Models(plan.keys)
    metrics = Metrics(models)
    log = None if plan.write_logs is None else PageLog(plan.write_logs, plan.cascades, metrics, plan.log_seconds)
    service = Service(plan.cascades, models, plan.limits, metrics, log, plan.trust_events)
    follower = Follower(models, ReleaseStore(plan.checkpoints), Exports(plan.lake), plan.reload_seconds)
    return app_of(service, follower), service, follower


def serve(plan: Plan, host: str, port: int) -> None:
    """Serves until SIGTERM or Ctrl-C; requests under way are answered, and logs written, before it returns."""
    import uvicorn

    if plan.write_logs is not None:
        sys.setswitchinterval(SWITCH_SECONDS)
    app, _, _ = built(plan)
    uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="on",
            access_log=False,
            log_level="warning",
            server_header=False,
            # One that says nothing for so long is let go; proxies keep theirs shorter or open another.
            timeout_keep_alive=75,
            timeout_graceful_shutdown=int(plan.limits.stop_seconds),
        )
    ).run()


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
