"""The image of a request: its bytes, within limits of size and time."""

import asyncio
from collections.abc import AsyncGenerator

from fastapi import HTTPException, Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from keras_ssd.serving.settings import Settings

FORM = "multipart/form-data"
# A body that is too large is read to its end, up to this many times the limit: a client that is still sending when the
# connection closes may never see the answer.
DRAINED = 4
USE = "Send the image as the body (curl --data-binary @street.jpg), or as a file of a form (curl -F image=@street.jpg)."


async def image_of(request: Request, settings: Settings) -> tuple[bytes, str | None]:
    """(bytes of the image, its name if it has one) of a request, whose body is the image or a form with one file.

    Raises:
        HTTPException: 413 too large, 408 too slow, 400 no image in it.
    """
    try:
        async with asyncio.timeout(settings.timeout):
            body = await _body(request, settings.max_bytes)
    except TimeoutError:
        raise HTTPException(
            408, f"The image did not arrive within {settings.timeout:g} seconds.", {"Connection": "close"}
        ) from None
    if request.headers.get("content-type", "").lower().startswith(FORM):
        return await _of_form(request, body)
    if not body:
        raise HTTPException(400, f"The request has no body. {USE}")
    return body, None


async def _body(request: Request, most: int) -> bytes:
    told = request.headers.get("content-length", "")
    size = int(told) if told.isdigit() else 0
    body = bytearray()
    if size <= most or (size <= DRAINED * most and "expect" not in request.headers):
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size <= most:
                body += chunk
            elif size > DRAINED * most:
                break
    if size > most:
        raise HTTPException(
            413, f"The request is larger than {most} bytes, the most that is accepted.", {"Connection": "close"}
        )
    return bytes(body)


async def _of_form(request, body):
    async def whole() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        form = await MultiPartParser(request.headers, whole(), max_files=1, max_fields=0).parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise HTTPException(400, f"The form cannot be read: {error} {USE}") from None
    try:
        files = [value for value in form.values() if isinstance(value, UploadFile)]
        if not files:
            raise HTTPException(400, f"The form holds no file. {USE}")
        return await files[0].read(), files[0].filename or None
    finally:
        await form.close()
