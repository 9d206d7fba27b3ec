"""The prediction server: its routes, and how it is started and ended.

    POST /invocations   rows → predictions, and class probabilities if asked for
    GET  /model         what the model takes and gives
    GET  /metrics       counts for Prometheus
    GET  /health        says that the server answers; needs no token

It listens on this machine alone unless it was given a token. Predictions have the bits of `qstore
predict`: the same rows pass the same preparation, circuit and loss.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from qstore_ray.errors import ConfigError, QStoreError, ResourceError, not_installed_error

try:
    import uvicorn  # noqa: F401 - it serves; a missing one is named here
    from fastapi import Depends, FastAPI, Request
    from fastapi.responses import JSONResponse, PlainTextResponse
    from starlette.exceptions import HTTPException
except ImportError as exc:
    raise not_installed_error(
        "fastapi with uvicorn", "service", what="the prediction server"
    ) from exc

import numpy as np

from qstore_ray.backends.paid import can_belong_to_run
from qstore_ray.data.service.server.access import guard, require_access, status_of
from qstore_ray.data.service.server.app import listening, quiet_server, run_until_stopped
from qstore_ray.serve.counts import ServingCounts
from qstore_ray.serve.rows import AskedRows, asked_rows
from qstore_ray.serve.settings import ServingSettings
from qstore_ray.types import Table

if TYPE_CHECKING:
    from qstore_ray.train.model.trained import TrainedModel

DEFAULT_PORT = 8322
_GRACE_SECONDS = 10


def serve_model(
    model: TrainedModel,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    settings: ServingSettings | None = None,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve a model until Ctrl-C or SIGTERM; requests that were begun are answered before.

    Args:
        host: address to listen at.
        port: 0 takes a free one.
        ready: called with the server's address once it can be asked.

    Raises:
        ConfigError: `host` is open to other machines and there is no token, or each prediction
            would be paid for.
        ServiceError: the address cannot be listened at.
    """
    settings = settings or ServingSettings()
    settings.check_address(host)
    app = create_app(model, settings)
    with listening(host, port) as listener:
        if ready is not None:
            shown = f"[{host}]" if ":" in host else host
            ready(f"http://{shown}:{listener.getsockname()[1]}")
        run_until_stopped(quiet_server(app, _GRACE_SECONDS), listener)


def create_app(model: TrainedModel, settings: ServingSettings) -> FastAPI:
    """The server as an ASGI application; the model has predicted once when this returns.

    Raises:
        ConfigError: each prediction would be paid for.
    """
    if can_belong_to_run(model.backend):
        raise ConfigError(
            "each request would run on hardware that is paid for",
            field="model",
            fix="Save the model to a .qsm file and serve that: it is evaluated exactly.",
        )
    predictor = Predictor(model, settings)
    app = FastAPI(title="qstore_ray prediction server", version=version("qstore-ray"))
    app.state.settings = settings
    guard(app, settings)
    locked = [Depends(require_access)]
    app.add_api_route("/invocations", predictor.invocations, methods=["POST"], dependencies=locked)
    app.add_api_route("/model", predictor.about, methods=["GET"], dependencies=locked)
    app.add_api_route("/metrics", predictor.metrics, methods=["GET"], dependencies=locked)
    app.add_api_route("/health", health, methods=["GET"])
    return app


async def health() -> dict[str, str]:
    """Says that the server answers; needs no token."""
    return {"status": "ok"}


class Predictor:
    """Answers requests with one model, one after another in a thread of its own."""

    def __init__(self, model: TrainedModel, settings: ServingSettings) -> None:
        self._model, self._settings = model, settings
        self._counts = ServingCounts()
        self._waiting = 0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="qstore_ray-serve")
        first = np.full((1, model.model.n_features), 0.5)  # what is compiled, is compiled now
        self._pool.submit(model.predictions, first, prepared=True).result()

    async def invocations(self, request: Request) -> JSONResponse:
        """Predictions of the rows in the body."""
        began, rows, status = time.perf_counter(), 0, 500
        try:
            asked = asked_rows(await self._body(request), self._settings.max_rows)
            found = await self._in_turn(asked)
            rows, status = asked.n_rows, 200
        except (QStoreError, HTTPException) as exc:
            status = exc.status_code if isinstance(exc, HTTPException) else status_of(exc)
            raise
        finally:
            self._counts.answered(status, time.perf_counter() - began, rows)
        return JSONResponse(found)

    async def about(self) -> Table:
        """What the model takes and gives."""
        model = self._model
        signature = model.signature
        table = None if signature is None else signature.table
        return {
            "features": None if table is None else list(table.names),
            "input": None if signature is None else signature.line(),
            "classes": [str(label) for label in model.classes],
            "max_rows": self._settings.max_rows,
        }

    async def metrics(self) -> PlainTextResponse:
        """Counts for Prometheus."""
        return PlainTextResponse(self._counts.text(self._waiting))

    async def _body(self, request: Request) -> bytes:
        most, body = self._settings.max_body_bytes, bytearray()
        async for part in request.stream():
            body += part
            if len(body) > most:
                raise HTTPException(413, f"a request has at most {most:,} bytes")
        return bytes(body)

    async def _in_turn(self, asked: AskedRows) -> dict[str, Any]:
        if self._waiting >= self._settings.max_waiting:
            raise ResourceError(
                f"{self._waiting} requests wait already",
                field="max_waiting",
                fix="Ask again in a while, ask for more rows at once, or start more servers.",
            )
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, self._predicted, asked)
        finally:
            self._waiting -= 1

    def _predicted(self, asked: AskedRows) -> dict[str, Any]:
        found = self._model.predictions(asked.rows)
        answer = {"predictions": found["prediction"].tolist()}
        if asked.proba:
            if "probability" not in found:
                raise ConfigError(
                    "this model gives no class probabilities",
                    field="params.proba",
                    value=True,
                    fix="Leave params out: the predictions are numbers, not classes.",
                )
            answer["probabilities"] = found["probability"].tolist()
            answer["classes"] = list(self._model.classes)
        return answer
