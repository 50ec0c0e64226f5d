"""What requests and answers hold, for the OpenAPI page."""

from typing import Any

from pydantic import BaseModel, Field

DESCRIPTION = "Finds objects in images. Answers have the fields of the JSON that `keras-ssd detect` writes."


class Found(BaseModel):
    name: str
    class_id: int = Field(description="place in class_names")
    score: float = Field(description="0..1")
    box_xyxy: list[float] = Field(description="xmin, ymin, xmax, ymax in pixels of the image")


class Answer(BaseModel):
    source: str | None = Field(description="name of the file in a form")
    height: int
    width: int
    class_names: list[str]
    detections: list[Found] = Field(description="best first")


class Model(BaseModel):
    name: str
    class_names: list[str]
    input_size: list[int] = Field(description="height, width that images are warped to")
    confidence: float = Field(description="lowest score that is reported by default")
    engine: str


class Health(BaseModel):
    status: str


class Refusal(BaseModel):
    detail: str = Field(description="the reason in words")


_REASONS = {
    400: "no image, or one that cannot be read",
    401: "the token is missing or wrong",
    408: "the image did not arrive in time",
    413: "the body has too many bytes, or the image too many pixels",
    422: "a confidence out of range, or an unknown class",
    429: "too many requests wait; try again later",
    503: "no answer in time",
}
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"description": reason, "model": Refusal} for status, reason in _REASONS.items()
}
_BYTES = {"schema": {"type": "string", "format": "binary"}}
_FORM = {
    "schema": {
        "type": "object",
        "properties": {"image": {"type": "string", "format": "binary"}},
        "required": ["image"],
    }
}
DETECT: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"image/*": _BYTES, "application/octet-stream": _BYTES, "multipart/form-data": _FORM},
    }
}
