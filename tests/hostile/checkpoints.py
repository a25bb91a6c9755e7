"""Hostile weights: pickles that cost time or memory without running code, and archives around them."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

from tests.hostile.registry import Case, Subject

# A pickle, piece by piece.
START, STOP, NONE, MARK, CALL, BUILD, NEW = b"\x80\x02", b".", b"N", b"(", b"R", b"b", b"\x81"
TUPLE, ONE, TWO, THREE, EMPTY, LIST, DICT = b"t", b"\x85", b"\x86", b"\x87", b")", b"]", b"}"
SET, SETS, APPEND, APPENDS, PERSISTENT = b"s", b"u", b"a", b"e", b"Q"
BILLIONS = struct.pack("<i", 0x7FFFFFFF)


def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value):
    return b"J" + struct.pack("<i", value) if abs(value) < 1 << 31 else long(value)


def long(value):
    data = value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def name(module, function):
    return b"c" + f"{module}\n{function}\n".encode()


def numbers(*values):
    return MARK + b"".join(map(number, values)) + TUPLE


def doubled(count=60, start=EMPTY):
    """A tuple of two equal tuples of two equal tuples: its hash takes 2^count steps."""
    return start + b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + TWO for i in range(count))


def doubled_list(count=60):
    out = LIST
    for i in range(count):
        out += b"q" + bytes([i]) + LIST + MARK + b"h" + bytes([i]) + b"h" + bytes([i]) + APPENDS
        out += b"q" + bytes([i + 1])
    return out


WEIGHT, ZERO, FOUR = text("weight"), text("0"), number(4)


def storage(key=ZERO, elements=FOUR, view=b"", kind=("torch", "FloatStorage")):
    return MARK + text("storage") + name(*kind) + key + text("cpu") + elements + view + TUPLE + PERSISTENT


def tensor(size=(4,), stride=(1,), offset=0, place=None, function="_rebuild_tensor_v2"):
    arguments = (storage() if place is None else place) + number(offset) + numbers(*size) + numbers(*stride)
    arguments += b"\x89" + name("collections", "OrderedDict") + EMPTY + CALL
    return name("torch._utils", function) + MARK + arguments + TUPLE + CALL


def state(value, key=WEIGHT):
    """A dictionary of one item."""
    return DICT + key + value + SET


def called(module, function, *arguments):
    return name(module, function) + MARK + b"".join(arguments) + TUPLE + CALL


BIG_NUMBER = b"\x8b" + struct.pack("<i", 1 << 20) + b"\x7f" * (1 << 20)
PICKLES = {
    "a key that is a tuple": state(tensor(), key=doubled(2)),
    "a key whose hash takes 2^60 steps": state(tensor(), key=doubled()),
    "such keys, set together": DICT + MARK + doubled() + tensor() + SETS,
    "such a key in pairs": called("collections", "OrderedDict", LIST + doubled() + number(1) + TWO + APPEND),
    "such a key in pairs that are lists": called(
        "collections", "OrderedDict", LIST + LIST + doubled() + APPEND + NONE + APPEND + APPEND
    ),
    "such things counted": called("collections", "Counter", LIST + doubled() + APPEND),
    "a set of such things": called("builtins", "set", LIST + doubled() + APPEND),
    "a frozen set of such things": called("builtins", "frozenset", LIST + doubled() + APPEND),
    "such a storage key": state(tensor(place=storage(key=doubled()))),
    "such a view of a storage": state(tensor(place=storage(view=doubled() + number(0) + number(4) + THREE))),
    "such a state of a dictionary": called("collections", "OrderedDict")
    + LIST
    + doubled()
    + number(1)
    + TWO
    + APPEND
    + BUILD,
    "such a state of arguments": name("argparse", "Namespace") + EMPTY + NEW + LIST + doubled() + BUILD,
    "such a function": doubled() + EMPTY + CALL,
    "such a number of elements": state(tensor(place=storage(elements=doubled()))),
    "lists that print 2^60 lines": state(doubled_list()) + state(b"h\x3c", text("other")) + text("x") + BUILD,
    "lists that print 2^60 lines, called": doubled_list() + EMPTY + CALL,
    "zeros by name": called("builtins", "bytearray", b"J" + BILLIONS),
    "zeros by Python 2's name": called("__builtin__", "bytearray", b"J" + BILLIONS),
    "zeros as a new object": name("builtins", "bytearray") + b"J" + BILLIONS + ONE + NEW,
    "a storage by call": called("torch.storage", "UntypedStorage", b"J" + BILLIONS),
    "a typed storage by call": called("torch.storage", "TypedStorage", b"J" + BILLIONS),
    "a tensor by call": called("torch", "Tensor", b"J" + BILLIONS),
    "a tensor of doubles by call": called("torch", "DoubleTensor", b"J" + BILLIONS),
    "a tensor as a new object": name("torch", "Tensor") + b"J" + BILLIONS + ONE + NEW,
    "a parameter as a new object": name("torch.nn.parameter", "Parameter") + tensor() + ONE + NEW,
    "a storage through a rebuilding function": called(
        "torch._tensor",
        "_rebuild_from_type_v2",
        name("torch.storage", "UntypedStorage"),
        NONE,
        numbers(1),
        NONE,
    ),
    "a quantized tensor": state(tensor(size=(1 << 31,), function="_rebuild_qtensor")),
    "a tensor on no device": called(
        "torch._utils", "_rebuild_meta_tensor_no_storage", NONE, numbers(1 << 60), numbers(1), b"\x89"
    ),
    "a tensor longer than its storage": state(tensor(size=(1 << 31,))),
    "a tensor beyond its storage": state(tensor(offset=1 << 31)),
    "a tensor with long strides": state(tensor(size=(2, 2), stride=(1 << 31, 1))),
    "a tensor that is one number 2^40 times": state(tensor(size=(1 << 40,), stride=(0,))),
    "a tensor of 5,000 axes": state(tensor(size=(1,) * 5000, stride=(1,) * 5000)),
    "a negative size": state(tensor(size=(-4,))),
    "a storage longer than the file": state(tensor(place=storage(elements=b"J" + BILLIONS), size=(4,))),
    "a storage of a negative length": state(tensor(place=storage(elements=number(-4)))),
    "a codec that takes long": called("_codecs", "encode", text("\u00e9\u4e00" * 50_000), text("punycode")),
    "a codec that unpacks": called("_codecs", "decode", text("x"), text("zlib")),
    "a number of a million bytes": state(BIG_NUMBER),
    "a number of a million digits": state(b"L" + b"9" * 1_000_000 + b"L\n"),
    "a key of 250 bytes": state(tensor(), key=b"\x8a\xfa" + b"\x7f" * 250),
    "text that is declared longer": state(b"X\xff\xff\xff\x7fabc"),
    "text of 17 MB": state(text(b"a" * (17 << 20))),
    "lists 100,000 deep": LIST * 100_000 + APPEND * 99_999,
    "tuples 300,000 deep": EMPTY + ONE * 300_000,
    "half a million steps": NONE + b"0N" * 1 + (b"N" + ONE + b"0") * 10 + NONE * 500_000,
    "400,000 dictionaries": LIST + MARK + DICT * 399_000 + APPENDS,
    "marks alone": MARK * 399_000,
    "a name of 100,000 characters": state(tensor(), key=text("module." * 14_000)),
    "a name with control characters": state(tensor(), key=text("\x1b[2Jred\n\x07")),
    "a class with control characters": called("\x1b[2J", "red\x07"),
    "a name that is not text": state(b"c\xff\xfe\nx\n" + EMPTY + CALL),
    "a memo that is not there": b"h\x07",
    "an empty stack": CALL,
    "protocol 4": b"\x80\x04\x95\x05\0\0\0\0\0\0\0}\x94.",
    "an extension's code": b"\x82\x01",
    "an instance of Python 1": b"(i__main__\nX\n",
}


def archive(pickled, *more, data=bytes(16)):
    """A torch.save archive around a pickle."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as target:
        for member, content in (("w/data.pkl", pickled), ("w/data/0", data), ("w/version", b"3\n"), *more):
            target.writestr(member, content)
    return stream.getvalue()


def stream_of(place, hostile):
    """A stream of torch before 1.6 with one of its five pickles replaced."""
    import pickletools

    import torch

    good = io.BytesIO()
    torch.save(
        {"weight": torch.zeros(2, 3), "bias": torch.zeros(2)}, good, _use_new_zipfile_serialization=False
    )
    data, at, parts = good.getvalue(), 0, []
    file = io.BytesIO(data)
    for _ in range(5):
        list(pickletools.genops(file))
        parts.append(data[at : file.tell()])
        at = file.tell()
    parts[place] = hostile
    return b"".join(parts) + data[at:]


def overlapping():
    """Members that lie within each other."""
    data = bytearray(
        archive(START + state(tensor()) + STOP, ("w/data/1", bytes(16)), ("w/data/2", bytes(16)))
    )
    first = data.find(b"PK\x01\x02")
    entries = []
    while (first := data.find(b"PK\x01\x02", first)) >= 0:
        entries.append(first)
        first += 4
    for entry in entries[2:]:
        data[entry + 42 : entry + 46] = data[entries[1] + 42 : entries[1] + 46]
    return bytes(data)


def crowded(count):
    """Many members without content, made by hand: a table of `count` entries."""
    local = b"PK\x03\x04" + struct.pack("<5H3I2H", 20, 0, 0, 0, 33, 0, 0, 0, 10, 0) + b"w/data.pkl"
    entry = b"PK\x01\x02" + struct.pack("<6H3I5H2I", 20, 20, 0, 0, 0, 33, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0)
    table = b"".join(entry + f"{i:08x}".encode() for i in range(count))
    end = b"PK\x05\x06" + struct.pack(
        "<4H2IH", 0, 0, count & 0xFFFF, count & 0xFFFF, len(table), len(local), 0
    )
    return local + table + end


MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # of a stream
GOOD = START + state(tensor()) + STOP
ZEROS = START + called("builtins", "bytearray", b"J" + BILLIONS) + STOP
DEEP_KEY = START + state(NONE, key=doubled()) + STOP


def tape():
    """A stream's mark at the start of a file that tar reads."""
    header = bytearray(512)
    header[: len(MAGIC)] = MAGIC
    header[124:136] = b"77777777777\0"
    header[156:157] = b"x"
    header[257:265] = b"ustar\x0000"
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    return bytes(header) + bytes(1024)


FILES = {
    **{f"in pickle {i + 1} of a stream, zeros": lambda i=i: stream_of(i, ZEROS) for i in range(1, 5)},
    **{f"in pickle {i + 1} of a stream, a deep key": lambda i=i: stream_of(i, DEEP_KEY) for i in range(1, 5)},
    "in a stream, a tensor longer than its storage": lambda: stream_of(
        3, START + state(tensor(size=(1 << 31,))) + STOP
    ),
    "members within each other": overlapping,
    "a record shorter than its tensor": lambda: archive(GOOD, ("w/data/1", b"secret" * 100), data=bytes(4)),
    "a tensor without its record": lambda: archive(GOOD).replace(b"w/data/0", b"w/datA/0"),
    "an archive of 60,000 members": lambda: crowded(60_000),
    "an archive of 400,000 members": lambda: crowded(400_000),
    "a byte order of 100 MB": lambda: archive(GOOD, ("w/byteorder", b"l" * (100 << 20))),
    "a second pickle in a folder": lambda: archive(GOOD, ("w/more/data.pkl", ZEROS)),
    "no pickle at all": lambda: archive(GOOD).replace(b"data.pkl", b"data.pk1"),
    "a stream that is a tape archive, too": tape,
}


def _case(kind, make, expected=("CheckpointError",)):
    def write(folder: Path) -> Path:
        path = folder / "w.pth"
        path.write_bytes(make())
        return path

    return Case(kind, write, expected)


def _good(folder: Path) -> Path:
    path = folder / "good.pth"
    path.write_bytes(stream_of(0, MAGIC))
    return path


def _open(path: Path) -> None:
    from torch import nn

    from fcn_edge.nets.weights.checkpoints import load_weights

    load_weights(nn.Linear(3, 2), path)


def _warm() -> None:
    import torch  # noqa: F401 - for the children

    import fcn_edge.nets.weights.checkpoints  # noqa: F401 - the same


CASES = (
    *(
        _case(kind, lambda pickled=pickled: archive(START + pickled + STOP))
        for kind, pickled in PICKLES.items()
    ),
    *(_case(kind, make) for kind, make in FILES.items()),
)
SUBJECT = Subject("checkpoints", _good, _open, CASES, _warm)
