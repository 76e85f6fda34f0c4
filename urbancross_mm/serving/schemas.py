"""What the API takes and returns; the OpenAPI description is made of it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

MOST_HITS, MOST_OFFSET = 1000, 10_000


def _without_nul(text: str) -> str:
    """Databases and encoders refuse it in their own words."""
    if '\0' in text:
        raise ValueError('must not contain NUL')
    return text


def _without_file(condition: str) -> str:
    """The filter language reads ``polygon=@FILE``; a client must not name files of the server."""
    if condition.partition('=')[2].lstrip().startswith('@'):
        raise ValueError('must not name a file: give the polygon itself')
    return condition


# So that the description says it, too; a pattern alone would give a sentence for programmers.
WITHOUT_NUL = Field(json_schema_extra={'pattern': r'^[^\x00]*$'})
Words = Annotated[
    str,
    StringConstraints(min_length=1, max_length=1000, strip_whitespace=True),
    WITHOUT_NUL,
    AfterValidator(_without_nul),
]
Id = Annotated[
    str,
    StringConstraints(min_length=1, max_length=1000),
    WITHOUT_NUL,
    AfterValidator(_without_nul),
]
Condition = Annotated[
    str,
    StringConstraints(min_length=1, max_length=100_000),
    WITHOUT_NUL,
    AfterValidator(_without_nul),
    AfterValidator(_without_file),
]
WARNINGS: Any = Field(
    [], description='What the model does not read of the texts, such as words it does not know.'
)


class SearchRequest(BaseModel):
    """What to search for, and where. At least one text, upload or like is needed."""

    model_config = ConfigDict(extra='forbid')

    texts: list[Words] = Field([], max_length=32, description='Texts; their mean is searched.')
    minus: list[Words] = Field([], max_length=32, description='Texts to move away from.')
    uploads: list[Id] = Field([], max_length=8, description='Ids of uploaded images.')
    likes: list[Id] = Field([], max_length=200, description='Ids of hits that are right.')
    dislikes: list[Id] = Field([], max_length=200, description='Ids of hits that are wrong.')
    where: list[Condition] = Field(
        [], max_length=32, description='Conditions in the filter language; all must hold.'
    )
    topk: int = Field(24, ge=1, le=MOST_HITS, description='Hits of a page.')
    offset: int = Field(0, ge=0, le=MOST_OFFSET, description='Hits to skip.')
    hide_duplicates: bool = Field(False, description='Leave out near-duplicates of other items.')
    model: Id | None = Field(None, description='Name of the model; the first one by default.')


class Hit(BaseModel):
    """An item that was found."""

    rank: int
    score: float
    id: str
    image: str = Field(description='Where its image is, below this server.')
    lon: float | None = None
    lat: float | None = None
    bounds: list[float] | None = Field(None, description='West, south, east, north.')
    attributes: dict[str, Any] = Field(description='Everything else that the index holds.')


class SearchReply(BaseModel):
    """A page of hits."""

    model: str
    offset: int
    more: bool = Field(description='Whether there is a next page.')
    upload: str | None = Field(None, description='Id of the image that came with the request.')
    warnings: list[str] = WARNINGS
    hits: list[Hit]


class AttributeInfo(BaseModel):
    """An attribute of the items, as a filter may name it."""

    name: str
    kind: str = Field(description='text, number, list or other')
    values: list[str] = Field(description='Frequent values of a text or list.')
    conditions: list[str] = Field(description='For each of them the condition that finds it.')


class ModelInfo(BaseModel):
    """A model with its index."""

    name: str
    items: int
    fingerprint: str
    attributes: list[AttributeInfo]
    bounds: list[float] | None = Field(
        description='West, south, east, north of the items; west > east crosses 180 degrees.'
    )
    examples: list[str] = Field(description='Phrases to begin with.')
    conditions: list[str] = Field(description='Conditions to begin with; each finds an item.')


class RasterInfo(BaseModel):
    """A raster that is shown under the hits."""

    name: str
    bounds: list[float] = Field(description='West, south, east, north.')
    min_zoom: int
    max_zoom: int
    tiles: str = Field(description='Address of a tile, with {z}, {x} and {y}.')


class Info(BaseModel):
    """What this server has."""

    version: str
    models: list[ModelInfo]
    rasters: list[RasterInfo]
    upload_bytes: int = Field(description='Largest upload.')


class Suggestions(BaseModel):
    """Phrases of the index that fit what was typed."""

    phrases: list[str]


class LocateRequest(BaseModel):
    """What to look for in a raster: one text or one uploaded image."""

    model_config = ConfigDict(extra='forbid')

    text: Words | None = None
    upload: Id | None = None
    model: Id | None = Field(None, description='Name of the model; the first one by default.')


class Peak(BaseModel):
    """A position in a raster where the answer is strongest."""

    lon: float
    lat: float
    score: float


class HeatMapReply(BaseModel):
    """Where in a raster something is."""

    id: str
    raster: str
    model: str
    bounds: list[float] = Field(description='West, south, east, north.')
    tiles: str = Field(description='Address of a tile, with {z}, {x} and {y}.')
    max_zoom: int
    warnings: list[str] = WARNINGS
    peaks: list[Peak]


class ErrorReply(BaseModel):
    """What is wrong, in one sentence."""

    detail: str
