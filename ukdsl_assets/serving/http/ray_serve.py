"""The same app under Ray Serve, for more than one machine; the one file of this room that imports Ray.

    serve run ukdsl_assets.serving.http.ray_serve:application serve=simulated_item_page replicas=4 write_logs=s3://...

A replica is a server of its own: it follows the release pointer, holds its models and writes its own files of logs. Ray
decides which replica answers a request and starts another for one that is lost.
"""

from collections.abc import Mapping
from typing import Any

from ukdsl_assets.declaration.sound import sound_cascades
from ukdsl_assets.errors import DeclarationError, did_you_mean
from ukdsl_assets.serving.http.limits import Limits
from ukdsl_assets.serving.http.server import built, plan_of
from ukdsl_assets.settings import Settings

# What the command takes, as KEY=VALUE, and what is meant where one is left out.
OPTIONS = {
    "serve": "",
    "replicas": "1",
    "cpus": "1",
    "reload_seconds": "5",
    "write_logs": "",
    "log_seconds": "10",
    "page_ms": "100",
}


class Replica:
    """One server; Ray calls for its app once it is there, and begins and ends it as any ASGI app."""

    def __init__(self, options: Mapping[str, str]) -> None:
        # Read where the replica runs: lake and cascades are those of its machine.
        settings = Settings()
        cascades, _ = sound_cascades(settings.cascades)
        self._plan = plan_of(
            settings,
            cascades,
            options["serve"].split(","),
            Limits(page_seconds=float(options["page_ms"]) / 1e3),
            float(options["reload_seconds"]),
            options["write_logs"] or None,
            float(options["log_seconds"]),
            # Events come to any replica, whichever answered their page.
            trust_events=True,
        )

    def __serve_build_asgi_app__(self) -> Any:
        """The app, by the name that Ray Serve looks for."""
        return built(self._plan)[0]


def application(arguments: Mapping[str, str]) -> Any:
    """What `serve run` deploys.

    Args:
        arguments: of `OPTIONS`; `serve` names cascades, or CASCADE/STUDENT, with commas between them.

    Raises:
        DeclarationError: an option is not known, or nothing is named to serve.
    """
    from ray import serve

    unknown = [name for name in arguments if name not in OPTIONS]
    if unknown or not arguments.get("serve"):
        seen = f"`{unknown[0]}`{did_you_mean(unknown[0], OPTIONS)}" if unknown else "nothing to serve"
        raise DeclarationError(
            f"serve run: saw {seen}; expected serve=CASCADE[,CASCADE/STUDENT] and any of {', '.join(OPTIONS)}, each "
            "as NAME=VALUE"
        )
    options = OPTIONS | {name: str(value) for name, value in arguments.items()}
    deployment = serve.deployment(
        name="ukdsl",
        num_replicas=int(options["replicas"]),
        ray_actor_options={"num_cpus": float(options["cpus"])},
        # As many as a server takes at a time on its own.
        max_ongoing_requests=Limits().concurrency,
    )
    return deployment(serve.ingress()(Replica)).bind(options)
