"""`POST /score/{cascade}/{student}`: every head's probability of each row, as JSON or as an Arrow stream."""

import json

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from ukdsl_assets.errors import RequestError, ScoringError
from ukdsl_assets.serving.http.arrow_body import table_of
from ukdsl_assets.serving.http.models import Key, Model
from ukdsl_assets.serving.http.receiving import body_of, check_count, content_type, of_scoring, parsed
from ukdsl_assets.serving.http.service import BusyError, LateError, Service
from ukdsl_assets.serving.http.wire import ARROW, JSON, ROWS
from ukdsl_assets.serving.onnx_file import Scores

_FIX = 'send {"rows": [{...}, ...]}, an object of the student\'s features each row'


async def score(service: Service, request: Request) -> Response:
    """Scores rows by the model that answers when the request comes in.

    Raises:
        RequestError: 404, 413, 415 or 422; 503 without a model, where it is late, or where all places are taken.
    """
    key = (str(request.path_params["cascade"]), str(request.path_params["student"]))
    service.cascade(key[0])
    service.check_student(*key)
    sent_as = content_type(request, (JSON, ARROW))
    model = service.models.current.get(key)
    body = await body_of(request, service.limits)
    if model is None:
        raise _unavailable(
            key, "no model", service.models.standing[key].state, "wait until /ready says that it is loaded"
        )
    kept = model
    answer = _as_json if sent_as == JSON else _as_arrow
    try:
        content = await service.scored(lambda: answer(service, key, kept, body), service.limits.request_seconds)
    except BusyError:
        seen = f"{service.limits.concurrency} requests under way"
        raise _unavailable(key, "all places are taken", seen, "send it again, or run another server") from None
    except LateError:
        seen = f"no answer after {service.limits.request_seconds:g} s"
        raise _unavailable(key, "the model is late", seen, "send fewer rows, or again") from None
    return Response(content, media_type=sent_as)


def _as_json(service: Service, key: Key, model: Model, body: bytes) -> bytes:
    rows = parsed(ROWS, body, _FIX)["rows"]
    check_count(len(rows), service.limits, "body.rows")
    try:
        columns = model.student.columns_of(rows)
    except ScoringError as error:
        raise of_scoring(error, "body.rows") from error
    scores = model.student.score(columns)
    _note(service, key, model, len(rows))
    model.monitor.add(columns, scores)
    about = model.student.metadata
    return to_json(
        {
            "cascade": about.cascade,
            "student": about.student,
            "version": about.version,
            "day": about.day,
            "serving_head": model.serving_head,
            "heads": {head: probabilities.tolist() for head, probabilities in scores.heads.items()},
            "unknown_ids": dict(scores.unknown_ids),
        }
    )


def _as_arrow(service: Service, key: Key, model: Model, body: bytes) -> bytes:
    table = table_of(body, service.limits)
    try:
        columns = model.student.columns_of_arrow(table)
    except ScoringError as error:
        raise of_scoring(error, "body") from error
    scores = model.student.score(columns)
    _note(service, key, model, table.num_rows)
    model.monitor.add(columns, scores)
    return _stream(model, scores)


def _stream(model: Model, scores: Scores) -> bytes:
    """A column each head, named by it; metadata of the schema says which checkpoint scored."""
    import pyarrow as pa

    about = model.student.metadata
    told = {
        "cascade": about.cascade,
        "student": about.student,
        "version": about.version,
        "day": about.day,
        "serving_head": model.serving_head,
        "unknown_ids": json.dumps(dict(scores.unknown_ids)),
    }
    table = pa.table({head: pa.array(each, pa.float32()) for head, each in scores.heads.items()}, metadata=told)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _note(service: Service, key: Key, model: Model, rows: int) -> None:
    service.metrics.rows.labels(*key).inc(rows)


def _unavailable(key: Key, what: str, seen: str, fix: str) -> RequestError:
    return RequestError(503, what, where="/".join(key), seen=seen, expected="a model that answers", fix=fix)
