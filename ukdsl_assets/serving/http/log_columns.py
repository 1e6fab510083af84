"""Columns of the logs that the server writes, as Arrow types: those of the contract, for cascades that it can fill."""

from typing import TYPE_CHECKING, Any

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import prediction_column
from ukdsl_assets.declaration.parts import Feature

if TYPE_CHECKING:
    import pyarrow as pa


def refusal(cascade: Cascade) -> str | None:
    """Why the server cannot write a cascade's logs; None where it can.

    It knows what one stage scored and what a page showed. What others bid, probed or know of the truth it does not.
    """
    seen = []
    if len(cascade.stages) > 1:
        seen.append(f"{len(cascade.stages)} stages, of which one serves here")
    seen += [key for key in ("has_bid", "has_probes", "has_truth") if getattr(cascade, key)]
    if len(cascade.features_of_shown) > 1:
        seen.append("more than one feature with `served_as`")
    served = {student.task for student in cascade.students}
    stage = cascade.stages[0].name
    seen += [
        f"predictions of {task}, which no student makes" for task in cascade.predictions_of(stage) if task not in served
    ]
    if not seen:
        return None
    return (
        f"{cascade.name}: logs cannot be written for it: saw {', '.join(seen)}; expected one stage whose predictions "
        "students make, without bids, probes and truths; leave --write-logs out, and log where all of it is known"
    )


def candidate_log_schema(cascade: Cascade) -> "pa.Schema":
    """Names and types of `logs.contract.candidate_log_dtypes`, in its order."""
    import pyarrow as pa

    identifier = _identifier(cascade)
    stage = cascade.stages[0].name
    fields: list[tuple[str, Any]] = [
        ("request_id", identifier),
        ("candidate_id", identifier),
        ("requested_at", pa.timestamp("us", "UTC")),
        ("deepest_stage", pa.string()),
        *((prediction_column(stage, task), pa.float32()) for task in cascade.predictions_of(stage)),
        ("shown", pa.bool_()),
        ("explored", pa.bool_()),
        ("propensity", pa.float32()),
        *((feature.name, _type_of(feature)) for feature in cascade.features),
    ]
    return pa.schema(fields)


def event_log_schema(cascade: Cascade) -> "pa.Schema":
    """Names and types of `logs.contract.event_log_dtypes`, in its order."""
    import pyarrow as pa

    identifier, moment = _identifier(cascade), pa.timestamp("us", "UTC")
    fields = [("request_id", identifier), ("candidate_id", identifier), ("event", pa.string())]
    return pa.schema([*fields, ("occurred_at", moment), ("value", pa.float32())])


def _identifier(cascade: Cascade) -> Any:
    import pyarrow as pa

    return pa.int64() if cascade.identifiers == "integer" else pa.string()


def _type_of(feature: Feature) -> Any:
    import pyarrow as pa

    if not feature.of_ids:
        return pa.list_(pa.float32(), feature.width) if feature.kind == "vector" else pa.float32()
    one = pa.int64() if feature.values == "integer" else pa.string()
    return pa.list_(one) if feature.kind == "multi_valued" else one
