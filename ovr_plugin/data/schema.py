"""The Arrow schemas of our parquet files: one for RL rows, text or image, one for the cold start.

One schema for all, because files whose columns disagree cannot be concatenated. Each carries
Hugging Face's feature description, so that ``datasets``, and with it veRL's own RLHFDataset, opens
a picture given as a path as well as one given as bytes; without it a null in ``bytes`` crashes it.
"""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa


def _struct(**fields: pa.DataType) -> pa.DataType:
    return pa.struct(list(fields.items()))


_MESSAGES = pa.list_(_struct(role=pa.string(), content=pa.string()))
_PLACE = {"index": pa.int64(), "id": pa.string(), "split": pa.string()}


def _feature(name: str, kind: pa.DataType) -> Any:
    """A type in the notation of ``datasets``, with the pictures marked as such."""
    if name == "images":
        return {"feature": {"_type": "Image"}, "_type": "List"}
    if pa.types.is_list(kind):
        return {"feature": _feature("", kind.value_type), "_type": "List"}
    if pa.types.is_struct(kind):
        return {inner.name: _feature(inner.name, inner.type) for inner in kind}
    return {"dtype": {"double": "float64"}.get(str(kind), str(kind)), "_type": "Value"}


def _schema(**columns: pa.DataType) -> pa.Schema:
    features = {name: _feature(name, kind) for name, kind in columns.items()}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema(list(columns.items()), metadata=metadata)


SCHEMA = _schema(
    data_source=pa.string(),
    prompt=_MESSAGES,
    images=pa.list_(_struct(bytes=pa.binary(), path=pa.string())),
    ability=pa.string(),
    reward_model=_struct(style=pa.string(), ground_truth=pa.string()),
    extra_info=_struct(
        **_PLACE,
        modality=pa.string(),
        choices=pa.list_(pa.string()),
        answer_type=pa.string(),
        tolerance=pa.float64(),
        unit=pa.string(),
        min_pixels=pa.int64(),
        max_pixels=pa.int64(),
    ),
)

COLD_START_SCHEMA = _schema(
    data_source=pa.string(),
    prompt=_MESSAGES,
    response=pa.string(),
    extra_info=_struct(**_PLACE),
)


# Of extra_info; a file that was written before there were these has none of them.
_LATER = ("min_pixels", "max_pixels")


def _before(kind: pa.DataType) -> pa.DataType:
    return pa.struct([field for field in kind if field.name not in _LATER])


def differences(found: pa.Schema, wanted: pa.Schema) -> list[str]:
    """What ``found`` lacks of ``wanted`` or has beyond it, in words; empty if the columns agree."""
    messages = [f"extra column {name!r}" for name in found.names if name not in wanted.names]
    for field in wanted:
        if field.name not in found.names:
            messages.append(f"column {field.name!r} is missing")
            continue
        kind, older = found.field(field.name).type, field.name == "extra_info"
        if kind not in (field.type, _before(field.type) if older else field.type):
            messages.append(f"column {field.name!r} is {kind}, expected {field.type}")
    return messages
