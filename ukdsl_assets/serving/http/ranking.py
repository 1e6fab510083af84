"""`POST /rank/{cascade}`: a page's candidates scored and put in order by the page's rules, or in the static order.

A model that is missing, late or refuses costs a page its order, never its answer: the candidates then stand as they
were given, as far as the rules allow, and the reply says so. Who asks for that order, as for the visitors of an
experiment's control, gets it too.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from ukdsl_assets.declaration.columns import prediction_column
from ukdsl_assets.errors import ScoringError, in_own_words
from ukdsl_assets.pages.page import Page, build_page
from ukdsl_assets.pages.rules import value_of
from ukdsl_assets.pages.search import MOST_STEPS
from ukdsl_assets.serving.http.asking import Asked, asked_of
from ukdsl_assets.serving.http.log_rows import Identifier, LoggedPage
from ukdsl_assets.serving.http.models import Key, Model
from ukdsl_assets.serving.http.page_inputs import PageInputs
from ukdsl_assets.serving.http.pages_seen import SeenPage
from ukdsl_assets.serving.http.receiving import body_of, content_type, of_scoring
from ukdsl_assets.serving.http.service import BusyError, LateError, Service
from ukdsl_assets.serving.http.wire import JSON, Why

_log_of_faults = logging.getLogger(__name__)
# Of a page that is put together while the event loop waits: some milliseconds, whatever its rules.
_STEPS_AT_ONCE = 200


class Answer(NamedTuple):
    """A page as it is answered. predictions: student -> probabilities of its serving head, empty in a fallback."""

    asked: Asked
    page: Page
    value: NDArray[np.float64]
    predictions: Mapping[str, NDArray[np.float32]]
    versions: Mapping[str, str]
    why: Why | None


@dataclass
class _Attempt:
    """What the thread that scores has found out so far, for whoever answers in its place."""

    body: bytes
    asked: Asked | None = field(default=None)


async def rank(service: Service, request: Request) -> Response:
    """Answers a page, by the models that answer when the request comes in.

    Raises:
        RequestError: 404, 413, 415 or 422; the page itself is always answered.
    """
    began, name = time.monotonic(), str(request.path_params["cascade"])
    service.cascade(name)
    content_type(request, (JSON,))
    inputs, models = service.pages[name], service.models.current
    attempt = _Attempt(await body_of(request, service.limits))
    left = service.limits.page_seconds - (time.monotonic() - began)
    try:
        answer = await service.scored(lambda: _ordered(service, inputs, models, attempt), left)
    except (BusyError, LateError) as error:
        asked = attempt.asked or asked_of(service, inputs, attempt.body)
        answer = _static(inputs, asked, "busy" if isinstance(error, BusyError) else "late")
    return Response(to_json(_finished(service, inputs, answer)), media_type=JSON)


def _ordered(service: Service, inputs: PageInputs, models: Mapping[Key, Model], attempt: _Attempt) -> Answer:
    """The page by its models, or in the static order where one is missing or refuses."""
    asked = attempt.asked = asked_of(service, inputs, attempt.body)
    if asked.static:
        return _static(inputs, asked, "asked for")
    try:
        used = {student: models[(inputs.cascade.name, student)] for student in inputs.students}
    except KeyError:
        return _static(inputs, asked, "no model")
    columns: dict[str, Mapping[str, NDArray[Any]]] = {}
    for model in used.values():
        if model.reads not in columns:
            try:
                columns[model.reads] = model.student.columns_of(asked.candidates, asked.request)
            except ScoringError as error:
                raise of_scoring(error, "body") from error
    try:
        return _by_models(service, inputs, used, asked, columns)
    except Exception as error:
        # Whatever a model does, the page is answered.
        _log_of_faults.warning("%s: its models refuse a page: %s", inputs.cascade.name, in_own_words(error))
        return _static(inputs, asked, "model refused")


def _by_models(
    service: Service,
    inputs: PageInputs,
    used: Mapping[str, Model],
    asked: Asked,
    columns: Mapping[str, Mapping[str, NDArray[Any]]],
) -> Answer:
    """The page of the models' values.

    Args:
        used: student -> its model; columns: by what a model reads.

    Raises:
        ScoringError, PageError: a model does not score, or its numbers are none.
    """
    name, count = inputs.cascade.name, len(asked.candidates)
    rules = inputs.rules_for(count)
    predictions = {}
    for student, model in used.items() if count else ():
        scores = model.student.score(columns[model.reads])
        predictions[student] = scores.heads[model.serving_head]
        service.metrics.rows.labels(name, student).inc(count)
        model.monitor.add(columns[model.reads], scores)
    value = value_of(rules, predictions) if count else np.zeros(0)
    made = build_page(rules, value, inputs.rule_columns(asked.request, asked.candidates), asked.request_id)
    return Answer(asked, made, value, predictions, {name: model.version for name, model in used.items()}, None)


def _static(inputs: PageInputs, asked: Asked, why: Why) -> Answer:
    """The candidates as they were given, as far as the rules allow; pages that chance orders need no model for it."""
    value = -np.arange(len(asked.candidates), dtype=np.float64)
    columns = inputs.rule_columns(asked.request, asked.candidates)
    rules = inputs.static_rules_for(len(asked.candidates))
    most_steps = _STEPS_AT_ONCE if why in ("late", "busy") else MOST_STEPS
    made = build_page(rules, value, columns, asked.request_id, most_steps=most_steps)
    return Answer(asked, made, value, {}, {}, why)


def _finished(service: Service, inputs: PageInputs, answer: Answer) -> dict[str, Any]:
    """Counts and logs an answer, and gives the reply."""
    name, asked, made = inputs.cascade.name, answer.asked, answer.page
    if answer.why is not None:
        service.metrics.fallback.labels(name, answer.why).inc()
    if made.relaxed:
        service.metrics.relaxed.labels(name).inc()
    if made.explored:
        service.metrics.explored.labels(name).inc()
    order = made.order.tolist()
    ids = [asked.candidates[place]["candidate_id"] for place in order]
    placed = [
        {
            "candidate_id": candidate,
            "slot": slot,
            "value": None if answer.why else float(answer.value[place]),
        }
        for slot, (place, candidate) in enumerate(zip(order, ids, strict=True), 1)
    ]
    return {
        "request_id": asked.request_id,
        "requested_at": asked.requested_at,
        "order": placed,
        "versions": answer.versions,
        "explored": made.explored,
        "relaxed": made.relaxed,
        "fallback": answer.why is not None,
        "why": answer.why,
        "logged": _log(service, inputs, answer, ids),
    }


def _log(service: Service, inputs: PageInputs, answer: Answer, ids: Sequence[Identifier]) -> bool:
    """Hands a page to the logs; False where it will not be in them.

    One that comes twice, as of a client that did not wait for its answer, is logged once: keys of the log are unique. A
    page in the static order has no predictions; where the log must have them, it is left out.
    """
    if service.log is None:
        return False
    name, asked = inputs.cascade.name, answer.asked
    if service.seen.get(name, asked.request_id) is not None:
        service.metrics.log_dropped.labels("candidate_log", "came twice").inc()
        return False
    logged = bool(asked.candidates)
    if inputs.logged_predictions and answer.why is not None:
        service.metrics.log_dropped.labels("candidate_log", "no prediction").inc()
        logged = False
    if logged:
        stage = inputs.cascade.stages[0].name
        predictions = {
            prediction_column(stage, task): answer.predictions[student]
            for task, student in inputs.logged_predictions.items()
        }
        page = LoggedPage(
            name, asked.request_id, asked.requested_at, asked.request, asked.candidates, answer.page, predictions
        )
        logged = service.log.put(page)
    service.seen.add(name, asked.request_id, SeenPage(asked.requested_at, tuple(ids), logged))
    return logged
