"""The rows of a request, in the formats of MLflow's scoring protocol; each is a field of the body.

    {"dataframe_records": [{"length": 5.1, "width": 3.5}, …]}
    {"dataframe_split": {"columns": ["length", "width"], "data": [[5.1, 3.5], …]}}
    {"instances": [[5.1, 3.5], …]}                         by position; images are nested lists

`"params": {"proba": true}` beside it asks for class probabilities too.
"""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple, NoReturn

from qstore_ray.errors import ConfigError, DataError, unknown_name_error

_FORMATS: Final = ("dataframe_records", "dataframe_split", "instances")
_FIX: Final = 'For example {"instances": [[5.1, 3.5, 1.4, 0.2]]}.'
_PARAMS_FIX: Final = 'Send "params": {"proba": true}, or leave params out.'


class AskedRows(NamedTuple):
    """Rows as `TrainedModel.predictions` takes them, how many, and whether chances are wanted."""

    rows: Any
    n_rows: int
    proba: bool


def asked_rows(body: bytes, max_rows: int) -> AskedRows:
    """What a request asks for.

    Raises:
        DataError: no JSON, no rows or too many, or rows of different lengths.
        ConfigError: another field, or none of the formats.
    """
    asked = _parsed(body)
    for name in asked:
        if name not in (*_FORMATS, "params"):
            raise unknown_name_error("field", name, (*_FORMATS, "params"), field="body")
    given = [name for name in _FORMATS if name in asked]
    if len(given) != 1:
        raise ConfigError(
            f"the body has one of {', '.join(_FORMATS)}",
            field="body",
            value=given or sorted(asked),
            fix=_FIX,
        )
    (name,) = given
    rows = _split(asked[name]) if name == "dataframe_split" else _list(asked[name], name)
    n_rows = len(rows) if isinstance(rows, list) else len(next(iter(rows.values()), []))
    if not 1 <= n_rows <= max_rows:
        raise DataError(
            f"a request has 1 to {max_rows:,} rows",
            field=name,
            value=n_rows,
            fix="Ask in several requests, or start the server with a larger max_rows.",
        )
    if name == "dataframe_records" and not all(isinstance(row, dict) for row in rows):
        raise DataError("each record is an object", field=name, fix=_FIX)
    return AskedRows(rows, n_rows, _proba(asked.get("params", {})))


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError) as exc:
        raise DataError(f"the body is no JSON: {exc}", field="body", fix=_FIX) from exc
    if not isinstance(found, dict):
        raise DataError("the body is no object", field="body", fix=_FIX)
    return found


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number in JSON; a missing value is null")


def _list(rows: Any, name: str) -> list[Any]:
    if not isinstance(rows, list):
        raise DataError("this is a list of rows", field=name, fix=_FIX)
    return rows


def _split(table: Any) -> dict[str, list[Any]]:
    """The columns of `{"columns": …, "data": …}`."""
    field = "dataframe_split"
    if not isinstance(table, dict) or not {"columns", "data"} <= table.keys():
        raise DataError("this has columns and data", field=field, fix=_FIX)
    names, data = _list(table["columns"], field), _list(table["data"], field)
    if len(set(map(str, names))) < len(names):
        raise DataError(
            "two columns have one name",
            field=field,
            value=names,
            fix="Name each column once; GET /model lists the columns of this model.",
        )
    for number, row in enumerate(data):
        if not isinstance(row, list) or len(row) != len(names):
            raise DataError(
                f"row {number} has not one value for each of the {len(names)} columns",
                field=field,
                fix="Send a list of values for each row, null for one that is missing.",
            )
    return {str(name): [row[place] for row in data] for place, name in enumerate(names)}


def _proba(params: Any) -> bool:
    if not isinstance(params, dict) or params.keys() - {"proba"}:
        raise ConfigError(
            "the only parameter is proba", field="params", value=params, fix=_PARAMS_FIX
        )
    proba = params.get("proba", False)
    if not isinstance(proba, bool):
        raise ConfigError(
            "this is true or false", field="params.proba", value=proba, fix=_PARAMS_FIX
        )
    return proba
