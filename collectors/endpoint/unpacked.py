"""An answer's body, unpacked piece by piece: a small answer may unpack to more than there is memory.

Source: RFC 9110, "Content Codings"; RFC 1952 for gzip, which may have several members one after the other.
"""

import zlib
from collections.abc import Iterator

from collectors.endpoint.words import AccessError

PIECE_BYTES = 512 * 1024
"""Most that is unpacked at once: a millisecond's work."""

_GZIP, _ZLIB, _BARE = 31, 15, -15
_MEND = "See what stands between here and the server: it may pack answers with gzip, once"


class Unpacked:
    """What has come of one body.

    encoding: the answer's Content-Encoding; at_most: bytes, packed or not, more are refused
    raises: AccessError for an encoding that was not asked for, and for more than one
    """

    def __init__(self, encoding: str, *, at_most: int) -> None:
        named = (part.strip() for part in encoding.lower().split(","))
        packed = [one for one in named if one not in {"", "identity"}]
        if len(packed) > 1:
            raise AccessError("sent an answer that is packed more than once", _MEND)
        self._packing = packed[0].removeprefix("x-") if packed else ""
        if self._packing not in {"", "gzip", "deflate"}:
            raise AccessError(f"sent an answer packed as {packed[0][:20]!r}", _MEND)
        self._at_most, self._came = at_most, 0
        self._found = bytearray()
        self._inflating: zlib._Decompress | None = None

    def take(self, chunk: bytes) -> Iterator[int]:
        """Unpack what came, piece by piece: whoever has other things to do does them in between.

        yields: bytes of each piece; raises: AccessError for too much, and for what is not packed as it says
        """
        self._came += len(chunk)
        if self._came > self._at_most:
            raise self._too_large()
        if not self._packing:
            self._keep(chunk)
            yield len(chunk)
            return
        try:
            yield from self._inflated(chunk)
        except zlib.error:
            raise _half() from None

    def whole(self) -> bytes:
        """The body, when all has come. raises: AccessError if that is not all of it"""
        if self._inflating is not None and not self._inflating.eof:
            raise _half()
        return bytes(self._found)

    def _inflated(self, packed: bytes) -> Iterator[int]:
        while packed:
            if self._inflating is None or self._inflating.eof:
                # Some pad between members, and after the last, with nought.
                packed = packed.lstrip(b"\0") if self._inflating is not None else packed
                if not packed:
                    return
                self._inflating = zlib.decompressobj(self._window(packed[0]))
            piece = self._inflating.decompress(packed, PIECE_BYTES)
            self._keep(piece)
            packed = self._inflating.unused_data or self._inflating.unconsumed_tail
            # What came may be used up, and hold more than one piece.
            while not packed and not self._inflating.eof and len(piece) == PIECE_BYTES:
                yield len(piece)
                piece = self._inflating.decompress(b"", PIECE_BYTES)
                self._keep(piece)
                packed = self._inflating.unused_data or self._inflating.unconsumed_tail
            yield len(piece)

    def _window(self, first: int) -> int:
        """How zlib is told the form. Servers mean either by deflate; that of zlib begins with method 8."""
        if self._packing == "gzip":
            return _GZIP
        return _ZLIB if first & 0x0F == 8 else _BARE

    def _keep(self, piece: bytes) -> None:
        if len(self._found) + len(piece) > self._at_most:
            raise self._too_large()
        self._found += piece

    def _too_large(self) -> AccessError:
        said = f"sent more than {self._at_most / 1024 / 1024:g} MB"
        return AccessError(said, "Keep fewer labels, or add a recording rule", too_large=True)


def _half() -> AccessError:
    return AccessError("sent half an answer", "Something cut it; the next poll asks again")
