"""Lists a page at a time: each answer links to the next page."""

from collections.abc import Sequence
from urllib.parse import urlencode

from starlette.responses import JSONResponse, Response

from hubtune.localhub.api.call import Call


def next_link(call: Call, more: dict[str, str] | None) -> dict[str, str]:
    """Returns the header that leads to the next page: the same request with other parameters.

    Args:
        call: The request.
        more: The parameters to change, or None on the last page.
    """
    if more is None:
        return {}
    kept = [(key, value) for key, value in call.query.multi_items() if key not in more]
    path = call.note.path.partition("?")[0].lstrip("/")
    return {"Link": f'<{call.url(path)}?{urlencode([*kept, *more.items()])}>; rel="next"'}


def offset_page(call: Call, rows: Sequence[object], *, default: int, most: int) -> Response:
    """Returns the page of a list that the request's `limit` and `cursor` name; the cursor counts rows."""
    limit = call.number("limit", default, most=most)
    start = call.number("cursor", 0, least=0, most=len(rows))
    more = {"cursor": str(start + limit)} if len(rows) > start + limit else None
    return JSONResponse(rows[start : start + limit], headers=next_link(call, more))
