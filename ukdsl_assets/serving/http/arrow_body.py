"""The rows of an Arrow stream, of which a few kilobytes may say that they are gigabytes: those are refused unread."""

import struct
from typing import TYPE_CHECKING

from ukdsl_assets.errors import RequestError
from ukdsl_assets.serving.http.limits import Limits
from ukdsl_assets.serving.http.receiving import check_count

if TYPE_CHECKING:
    import pyarrow as pa

# Numbers of fields in Arrow's Message.fbs: of a message, of a batch of a dictionary, and of a batch of rows.
_HEADER, _ROWS_OF_DICTIONARY, _COMPRESSION = 2, 1, 3


def table_of(body: bytes, limits: Limits) -> "pa.Table":
    """The rows of a stream, read a batch at a time, no further than a request may go.

    Raises:
        RequestError: 400 for what is no stream or is compressed; 413 above `limits.rows`, or where texts that the
            stream holds once and names often are above `limits.body_bytes` when they are written out.
    """
    import pyarrow as pa

    batches, rows, texts = [], 0, 0
    try:
        for message in pa.ipc.MessageReader.open_stream(body):
            if message.type in ("record batch", "dictionary") and _is_compressed(message):
                raise _refused("a compressed one", "one that is not compressed", "write it without compression")
        with pa.ipc.open_stream(body) as reader:
            for batch in reader:
                rows += batch.num_rows
                check_count(rows, limits, "body")
                batch.validate(full=True)
                texts += sum(map(_shared_texts, batch.columns))
                if texts > limits.body_bytes:
                    raise RequestError(
                        413,
                        "the texts are too large",
                        where="body",
                        seen=f"{texts:,} bytes where each row has its own",
                        expected=f"at most {limits.body_bytes:,} bytes",
                        fix="send fewer rows a request, or start the server with a higher --body-megabytes",
                    )
                batches.append(batch)
            return pa.Table.from_batches(batches, reader.schema)
    except (pa.ArrowException, OSError, struct.error) as error:
        seen = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        fix = "write it with pyarrow.ipc.new_stream or what your language has for it"
        raise _refused(seen, "the IPC streaming format", fix) from error


def _refused(seen: str, expected: str, fix: str) -> RequestError:
    return RequestError(400, "the body is no Arrow stream", where="body", seen=seen, expected=expected, fix=fix)


def _is_compressed(message: "pa.ipc.Message") -> bool:
    """Whether buffers of a batch are compressed, which pyarrow says nowhere before it has unpacked them."""
    content = message.metadata.to_pybytes()
    (root,) = struct.unpack_from("<I", content)
    header = _pointed(content, _field(content, root, _HEADER))
    if message.type == "dictionary":
        header = _pointed(content, _field(content, header, _ROWS_OF_DICTIONARY))
    return _field(content, header, _COMPRESSION) != 0


def _field(content: bytes, table: int, number: int) -> int:
    """Where a field of a table of FlatBuffers is, 0 where it is left out."""
    (back,) = struct.unpack_from("<i", content, table)
    (size,) = struct.unpack_from("<H", content, table - back)
    place = 4 + 2 * number
    if place >= size:
        return 0
    (offset,) = struct.unpack_from("<H", content, table - back + place)
    return table + offset if offset else 0


def _pointed(content: bytes, field: int) -> int:
    """Where the table is that a field points to."""
    (offset,) = struct.unpack_from("<I", content, field)
    return int(field + offset)


def _shared_texts(column: "pa.Array") -> int:
    """Bytes of the texts of a column whose type lets rows share them, each row's counted; 0 for other types."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type) or pa.types.is_fixed_size_list(column.type):
        return _shared_texts(column.flatten())
    if pa.types.is_dictionary(column.type):
        kind = column.dictionary.type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            return _shared_texts(column.dictionary) * len(column)
        return int(pc.sum(pc.take(pc.binary_length(column.dictionary), column.indices)).as_py() or 0)
    if pa.types.is_string_view(column.type):
        # Each view is four numbers of 32 bits, of which the first is its length.
        views = np.frombuffer(column.buffers()[1], np.int32)[::4][column.offset : column.offset + len(column)]
        return int(views.sum(dtype=np.int64))
    return 0
