"""Content encodings: decoded in small pieces, at most one, and completely or not at all."""

from __future__ import annotations

import gzip
import zlib

import pytest

from chatlake.api.decoding import EncodedBodyError, decoder_for

TEXT = b"".join(b"line %d of a body that is long enough\n" % number for number in range(20_000))


def raw_deflate(data: bytes) -> bytes:
    """Return the bare stream that some servers call deflate."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


PACKED = {
    "gzip": gzip.compress(TEXT),
    "x-gzip": gzip.compress(TEXT),
    "deflate": zlib.compress(TEXT),
    "identity": TEXT,
}


def decode(encodings: list[str], body: bytes, *, chunk: int) -> bytes:
    """Decode a body that comes in chunks of this size."""
    decoder = decoder_for(encodings)
    pieces = [
        piece
        for start in range(0, len(body), chunk)
        for piece in decoder.feed(body[start : start + chunk])
    ]
    decoder.finish()
    return b"".join(pieces)


@pytest.mark.parametrize("chunk", [1, 2, 3, 1000, 1 << 16])
@pytest.mark.parametrize("encoding", PACKED)
def test_a_body_is_decoded_however_it_is_cut_into_chunks(encoding: str, chunk: int) -> None:
    """The text comes out whole, whatever the chunks."""
    assert decode([encoding], PACKED[encoding], chunk=chunk) == TEXT


@pytest.mark.parametrize("chunk", [1, 7, 1 << 16])
def test_deflate_without_its_header(chunk: int) -> None:
    """A bare deflate stream is read too: some servers have always sent it."""
    assert decode(["deflate"], raw_deflate(TEXT), chunk=chunk) == TEXT


@pytest.mark.parametrize("chunk", [1, 10, 1 << 16])
def test_members_of_gzip(chunk: int) -> None:
    """Several members are one body, and padding after the last one is ignored."""
    body = gzip.compress(b"one ") + gzip.compress(b"") + gzip.compress(b"two")
    assert decode(["gzip"], body, chunk=chunk) == b"one two"
    assert decode(["gzip"], body + bytes(64), chunk=chunk) == b"one two"


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_a_bomb_comes_out_in_small_pieces(pack: object) -> None:
    """A chunk that holds 64 MiB is not decoded at once: a reader can stop after any 64 KiB."""
    assert callable(pack)
    encoding = "gzip" if pack is gzip.compress else "deflate"
    body = pack(bytes(64 << 20))
    sizes = [len(piece) for piece in decoder_for([encoding]).feed(body)]
    assert sum(sizes) == 64 << 20
    assert max(sizes) <= 1 << 16


@pytest.mark.parametrize(
    "encodings",
    [
        ["gzip, gzip"],
        ["gzip", "gzip"],
        ["gzip,deflate"],
        ["deflate, gzip"],
        ["identity, gzip, x-gzip"],
        ["br"],
        ["zstd"],
        ["gzip, br"],
        ["compress"],
        ["unheard-of"],
    ],
)
def test_other_encodings_are_refused(encodings: list[str]) -> None:
    """More than one, or another than the request asked for, is named."""
    with pytest.raises(EncodedBodyError, match="only gzip and deflate are supported") as caught:
        decoder_for(encodings)
    assert encodings[-1].split(",")[-1].strip() in str(caught.value)


@pytest.mark.parametrize("encodings", [[], [""], ["identity"], ["Identity, "], [" , "]])
def test_no_encoding(encodings: list[str]) -> None:
    """`identity`, or an empty value, leaves the body as it is."""
    assert decode(encodings, b"text", chunk=2) == b"text"


@pytest.mark.parametrize("encodings", [["GZIP"], ["identity, gzip"], [" gzip ,"], ["", "gzip"]])
def test_one_encoding_however_it_is_written(encodings: list[str]) -> None:
    """Names have no case, and `identity` counts for nothing."""
    assert decode(encodings, gzip.compress(b"text"), chunk=2) == b"text"


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("missing", [1, 4, 8, 100])
def test_a_body_that_is_cut(encoding: str, missing: int) -> None:
    """It is refused, even where only the checksum at its end is missing."""
    with pytest.raises(EncodedBodyError, match="ends in the middle"):
        decode([encoding], PACKED[encoding][:-missing], chunk=1000)


@pytest.mark.parametrize("length", [0, 1])
def test_almost_nothing(length: int) -> None:
    """An empty body is empty, as of a 204; one byte of gzip is a cut one."""
    decoder = decoder_for(["gzip"])
    assert list(decoder.feed(b"\x1f"[:length])) == []
    if length:
        with pytest.raises(EncodedBodyError, match="ends in the middle"):
            decoder.finish()
    else:
        decoder.finish()


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_what_is_not_encoded_as_it_says(encoding: str) -> None:
    """Plain text, or a damaged stream, is an error and no shorter text."""
    with pytest.raises(EncodedBodyError, match=f"is not {encoding}"):
        decode([encoding], b"plain text, not packed at all", chunk=1000)
    packed = PACKED[encoding]
    damaged = packed[:1000] + bytes(byte ^ 0xFF for byte in packed[1000:1100]) + packed[1100:]
    with pytest.raises(EncodedBodyError):
        decode([encoding], damaged, chunk=1000)
