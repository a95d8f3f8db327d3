"""Decompresses data files, with limits on memory and time.

A few kilobytes can decompress to terabytes, or need gigabytes of memory for the first byte. Such files are refused,
because reading one to its end would take forever.
"""

import bz2
import gzip
import io
import lzma
import zlib
from typing import TYPE_CHECKING, BinaryIO, Protocol

from hubtune.errors import DataError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MOST_TIMES = 200
"""How many times its size a compressed file may be, from `FREE` bytes on; text is packed to a third or a tenth."""
FREE = 1 << 30
"""Bytes that any file may unpack to."""
MOST_MEMORY = 1 << 28
"""Bytes that unpacking xz may take; `xz -9` asks for 65 MiB."""
DAMAGE = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)
"""What is raised over a compressed file that is damaged; bz2 and zstd raise an OSError without a number."""

_PIECE = 1 << 16
_BUFFER = 1 << 17


class _Reads(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


def unpacked(raw: BinaryIO, start: bytes, name: str) -> BinaryIO:
    """Returns a reader of the decompressed bytes, or of the bytes themselves if they are not compressed.

    Args:
        raw: The bytes, at their start.
        start: The first of them.
        name: What to call the file in a message.

    Raises:
        DataError: While they are read: they unpack to too much, or take too much memory.
    """
    counted = _Counted(raw)
    packed: _Reads
    if start.startswith(b"\x1f\x8b"):
        packed = gzip.GzipFile(fileobj=counted)
    elif start.startswith(b"BZh") and start[4:10] == b"1AY&SY":
        packed = bz2.BZ2File(counted)
    elif start.startswith(b"\xfd7zXZ\x00"):
        packed = _Xz(counted)
    elif start.startswith(b"\x28\xb5\x2f\xfd"):
        import pyarrow as pa

        packed = pa.CompressedInputStream(pa.PythonFile(counted, "r"), "zstd")
    else:
        return raw
    return io.BufferedReader(_BoundedStream(packed, counted, name), _BUFFER)


class _Counted(io.RawIOBase):
    """Counts the bytes that are read."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self.taken = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        piece = self._raw.read(size)
        self.taken += len(piece)
        return piece


class _BoundedStream(io.RawIOBase):
    """What is compressed in a file, as long as it is not far larger than the file."""

    def __init__(self, packed: _Reads, file: _Counted, name: str) -> None:
        self._packed = packed
        self._file = file
        self._name = name
        self._given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        memory = memoryview(buffer).cast("B")
        try:
            piece = self._packed.read(len(memory))
        except (lzma.LZMAError, OSError) as error:
            # What xz and zstd say of a window or dictionary that is larger than allowed.
            if "emory" not in str(error):
                raise
            raise DataError(
                f"{self._name} takes more than {MOST_MEMORY >> 20} MiB of memory to be unpacked.",
                hint="Pack it again with the usual settings: `xz -9` and `zstd -19` need less.",
            ) from None
        self._given += len(piece)
        if self._given > max(FREE, MOST_TIMES * self._file.taken):
            raise DataError(
                f"{self._name} unpacks to more than {MOST_TIMES} times its size, and to more than {FREE >> 20:,} MiB.",
                hint="Text is packed to a third or a tenth of its size. If the data is in order, unpack the file, and "
                "name it as `data[].path`.",
            )
        memory[: len(piece)] = piece
        return len(piece)


class _Xz:
    """Unpacks xz: as `lzma.LZMAFile`, which knows no bound of memory."""

    def __init__(self, raw: _Counted) -> None:
        self._raw = raw
        self._decoder = lzma.LZMADecompressor(memlimit=MOST_MEMORY)

    def read(self, size: int = -1, /) -> bytes:
        while True:
            if self._decoder.eof:
                # Zeros may be between streams.
                begin = self._decoder.unused_data.lstrip(b"\0")
                while not begin:
                    more = self._raw.read(_PIECE)
                    if not more:
                        return b""
                    begin = more.lstrip(b"\0")
                self._decoder = lzma.LZMADecompressor(memlimit=MOST_MEMORY)
            else:
                begin = self._raw.read(_PIECE) if self._decoder.needs_input else b""
                if not begin and self._decoder.needs_input:
                    raise EOFError("it was cut short")
            found = self._decoder.decompress(begin, size)
            if found:
                return found
