"""What a file is, told by its structure: no single byte and no ending of its name says it."""

from __future__ import annotations

import struct
from enum import Enum
from pathlib import Path

from spinodal.store.checkpoint.refusal import AGAIN, opened, refused

LONGEST_HEADER = 100_000_000  # bytes; safetensors allows no more
MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # how torch.save began before it wrote zip files
FOREIGN = (  # (offset, bytes, what begins so)
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file (of Keras?)"),
    (0, b"GGUF", "a GGUF file (of llama.cpp)"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (4, b"TFL3", "a TensorFlow Lite model"),
    (0, b"version https://git-lfs", "a pointer of Git LFS, not the file itself"),
    (0, b"\x1f\x8b", "compressed with gzip"),
    (0, b"\x28\xb5\x2f\xfd", "compressed with Zstandard"),
    (0, b"\xfd7zXZ\x00", "compressed with xz"),
    (0, b"BZh", "compressed with bzip2"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (0, b"Rar!", "a RAR archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"\x89PNG", "an image"),
    (0, b"\xff\xd8\xff", "an image"),
    (0, b"%PDF", "a PDF document"),
    (0, b"\x7fELF", "a program"),
)
REMEDIES = {
    "a pointer of Git LFS, not the file itself": "fetch it with git lfs pull",
    "compressed": "decompress it first",
    "archive": "unpack it first",
}


class FileKind(Enum):
    """The kinds of files that are read."""

    SAFETENSORS = "safetensors"
    ARCHIVE = "zip archive"
    LEGACY = "torch.save before its zip files"
    TEXT = "JSON"


def kind_of(place: Path) -> FileKind:
    """Return the kind of a file, or refuse it by the name of what it is."""
    with opened(place), place.open("rb") as file:
        head, size = file.read(512), place.stat().st_size
    if head[8:9] == b"{" and struct.unpack("<Q", head[:8])[0] <= LONGEST_HEADER:
        return FileKind.SAFETENSORS
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return FileKind.ARCHIVE
    if head.startswith(MAGIC):
        return FileKind.LEGACY
    if head.lstrip()[:1] == b"{":
        return FileKind.TEXT
    raise _foreign(place, head, size)


def _foreign(place: Path, head: bytes, size: int) -> Exception:
    """Return the refusal of a file that is something else."""
    if not size:
        return refused(place, "is empty", AGAIN)
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        return refused(place, "is a bare pickle, which could run code when it is read", "write it with torch.save")
    for offset, sign, what in FOREIGN:
        if head[offset:].startswith(sign):
            return refused(place, f"is {what}", _remedy(what))
    if head.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
        return refused(place, "is a web page", "fetch the file itself, not the page about it")
    if _is_onnx(head):
        return refused(place, "seems to be an ONNX model", _remedy(""))
    begins = f"{size} bytes that begin with {head[:8]!r}{_as_safetensors(place, head)}"
    return refused(place, f"is no safetensors file, and none of torch.save ({begins})")


def _remedy(what: str) -> str:
    return next((do for word, do in REMEDIES.items() if word in what), "save the state dict of the PyTorch model")


def _is_onnx(head: bytes) -> bool:
    """Tell a protocol buffer that begins with a small version (field 1), then a producer (2), a graph (7) or operators (8)."""
    return len(head) > 3 and head[0] == 0x08 and 0 < head[1] < 32 and head[2] in (0x12, 0x3A, 0x42)


def _as_safetensors(place: Path, head: bytes) -> str:
    """Say what a file that is called safetensors would have to have."""
    if place.suffix != ".safetensors" or len(head) < 8:
        return ""
    return f", so that its header would have {struct.unpack('<Q', head[:8])[0]} bytes and begin with '{{'"
