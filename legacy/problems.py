"""What goes wrong with a request: one shape of answer, a status for each error of the package."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from babblefish.errors import BabbleFishError

_RETRY_AFTER_S = 2
"""A full queue of utterances is worked off in a few seconds."""

_STATUS = {
    "invalid_audio": 422,
    "bad_audio": 422,
    "no_speech": 422,
    "unknown_language": 422,
    "no_path": 422,
    "too_long": 413,
    "overloaded": 503,
    "deadline_exceeded": 504,
}
"""By the codes of ``babblefish.domain``; whatever else an engine raises is a 500."""

_CODES = {400: "invalid_request", 404: "not_found", 405: "method_not_allowed", 408: "too_slow", 413: "too_large"}
"""Of what is refused before an engine sees it."""


class Problem(BaseModel):
    """Why there is no answer: ``code`` is stable, ``detail`` is for people."""

    code: str
    detail: str


RESPONSES: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "Not the form or the JSON that it should be"},
    403: {"model": Problem, "description": "The page that asks is another site's"},
    408: {"model": Problem, "description": "The body came too slowly"},
    413: {"model": Problem, "description": "The file is too large, or the recording too long"},
    421: {"model": Problem, "description": "The server does not answer to that host name"},
    422: {"model": Problem, "description": "A bad file, nobody speaks, an unknown language, no path, no text"},
    429: {"model": Problem, "description": "Too many uploads of one address"},
    500: {"model": Problem, "description": "An engine failed"},
    503: {"model": Problem, "description": "Too many requests are waiting; see Retry-After"},
    504: {"model": Problem, "description": "It took too long"},
}
"""For the OpenAPI description."""


def problem(status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Make the answer; a 503 says when to come again."""
    retry = {"Retry-After": str(_RETRY_AFTER_S)} if status == 503 else {}
    return JSONResponse({"code": code, "detail": detail}, status, headers={**(headers or {}), **retry})


def answer_problems(app: FastAPI) -> None:
    """Have an application answer whatever is raised in it as a ``Problem``."""

    @app.exception_handler(BabbleFishError)
    async def failed(_: Request, error: BabbleFishError) -> JSONResponse:
        return problem(_STATUS.get(error.code, 500), error.code, error.message)

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> JSONResponse:
        return problem(
            error.status_code, _CODES.get(error.status_code, "refused"), error.detail, dict(error.headers or {})
        )

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        return problem(422, "invalid_request", f"{where}: {first['msg']}" if where else first["msg"])
