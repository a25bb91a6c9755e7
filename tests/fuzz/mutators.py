"""Changes that keep what a parser checks first, so that what it checks last is reached, too.

Each takes bytes and a random generator and returns other bytes. A seal, a CRC or a length that random changes
would break is restored by the caller, or never broken.
"""

from __future__ import annotations

import contextlib
import copy
import io
import itertools
import json
import pickletools
import struct
import warnings
import zipfile
import zlib

NUMBERS = (
    0,
    1,
    -1,
    2,
    7,
    64,
    255,
    256,
    65535,
    1 << 20,
    1 << 31,
    (1 << 31) - 1,
    1 << 40,
    (1 << 63) - 1,
    -(1 << 63),
)
TEXTS = (
    "",
    "image",
    "labels",
    "logits",
    "weight",
    "\x00",
    "\ud83d\ude00",
    "a" * 5000,
    "../../etc",
    "ai.onnx",
    "Loop",
)
MCAP = b"\x89MCAP0\r\n"
ODD = (
    None,
    True,
    [],
    {},
    [[[[[[]]]]]],
    "",
    "\ud800",
    "\x1b[2J",
    "x" * 5000,
    -1,
    0,
    1,
    2**31,
    2**63,
    10**400,
    1e308,
    -0.0,
    float("nan"),
    float("inf"),
    0.5,
    "fp16",
    "uint16",
    "float32",
    "CUDAExecutionProvider",
)


def mutate_json(data, random):
    """One to three values of a JSON text replaced, removed, doubled or moved."""
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return data
    tree = [tree]
    for _ in range(random.randint(1, 3)):
        holder, key = random.choice(list(_json_places(tree)))
        what = random.randrange(6)
        if what == 0 and holder is not tree:
            del holder[key]
        elif what == 1 and isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        elif what == 2:
            other, place = random.choice(list(_json_places(tree)))
            holder[key] = copy.deepcopy(other[place])
        elif what == 3 and isinstance(holder[key], (int, float)):
            holder[key] = random.choice(
                (*NUMBERS, holder[key] + 1, holder[key] - 1, -holder[key], holder[key] // 2)
            )
        else:
            holder[key] = copy.deepcopy(random.choice(ODD))
        if len(json.dumps(tree)) > 1 << 18:
            break
    return json.dumps(tree[0] if tree else None).encode()


def _json_places(node):
    """Every (container, key) in the tree."""
    items = enumerate(node) if isinstance(node, list) else node.items() if isinstance(node, dict) else ()
    for key, value in list(items):
        yield node, key
        yield from _json_places(value)


def mutate_model(data, random):
    """A serialized ONNX ModelProto with one to four fields, nodes or metadata entries changed."""
    import onnx
    from google.protobuf.message import DecodeError

    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError:
        return data
    for _ in range(random.randint(1, 4)):
        edit = random.choice(
            (_any_field, _any_field, _any_field, _node, _rewire, _constant, _metadata, _beside)
        )
        with contextlib.suppress(ValueError):  # a name that is not text any more, a number out of range
            edit(proto, random)
    data = proto.SerializeToString()
    return _written_again(data, random) if random.random() < 0.3 else data


def _written_again(data, random, depth=0):
    """One field of one message written a second time, as it is or as other bytes: readers may differ.

    protobuf merges the two where they are messages, and takes the last where they are not.
    """
    from fcn_edge_runtime.errors import ModelError
    from fcn_edge_runtime.model.protobuf.reading import BYTES, VARINT, Reader
    from fcn_edge_runtime.model.protobuf.writing import field

    try:
        found = list(Reader(memoryview(data)).fields(0, len(data)))
    except ModelError:
        return data
    found = [f for f in found if f[1] in (BYTES, VARINT)]
    if not found:
        return data
    chosen = random.randrange(len(found))
    parts = []
    for index, (number, wire, first, last) in enumerate(found):
        content = data[first:last] if wire == BYTES else first
        if index != chosen:
            parts.append(field(number, content))
        elif depth < 4 and wire == BYTES and random.random() < 0.8:
            parts.append(field(number, _written_again(content, random, depth + 1)))
        else:
            parts.append(field(number, content))
            other = random.choice((content, b"", b"\xff", b"a\x1b[31m", b"Loop", b"\0" * 8))
            parts.insert(random.randrange(len(parts) + 1), field(number, other if wire == BYTES else 7))
    return b"".join(parts)


def _beside(proto, random):
    """Typed data beside the raw data of a tensor, or in its place."""
    if proto.graph.initializer:
        tensor = random.choice(proto.graph.initializer)
        if random.random() < 0.5:
            tensor.ClearField("raw_data")
        kind = random.choice(("int64_data", "int32_data", "float_data", "double_data", "uint64_data"))
        getattr(tensor, kind).extend([random.choice((0, 1, 7, 1 << 20))] * random.randint(0, 5))


def _messages(message):
    yield message
    for descriptor, value in message.ListFields():
        if descriptor.type == descriptor.TYPE_MESSAGE:
            for inner in value if descriptor.is_repeated else [value]:
                yield from _messages(inner)


def _any_field(proto, random):
    """One field of one message, whatever it is: set, emptied, doubled, shortened."""
    message = random.choice(list(_messages(proto)))
    fields = [descriptor for descriptor, _ in message.ListFields()]
    if not fields or random.random() < 0.2:
        fields = list(message.DESCRIPTOR.fields)
    field = random.choice(fields)
    value = getattr(message, field.name)
    if random.random() < 0.15:
        message.ClearField(field.name)
    elif field.type == field.TYPE_MESSAGE:
        if not field.is_repeated:
            value.SetInParent()
        elif value and random.random() < 0.5:
            value.add().CopyFrom(random.choice(value))
        elif value:
            del value[random.randrange(len(value))]
        else:
            value.add()
    else:
        old = (value[random.randrange(len(value))] if value else None) if field.is_repeated else value
        new = _scalar(field, old, random)
        if not field.is_repeated:
            setattr(message, field.name, new)
        elif value and random.random() < 0.7:
            value[random.randrange(len(value))] = new
        else:
            value.append(new)


def _scalar(field, old, random):
    if field.cpp_type == field.CPPTYPE_STRING:
        if field.type == field.TYPE_STRING:
            return random.choice(TEXTS).encode("utf-8", "surrogatepass").decode("utf-8", "replace")
        data = bytearray(old or b"\0" * 8)
        if data and random.random() < 0.7:
            data[random.randrange(len(data))] = random.randrange(256)
            return bytes(data)
        return bytes(data[: random.randrange(len(data) + 1)])
    if field.cpp_type in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
        return random.choice((0.0, -1.0, 1e30, 1e-30, float("nan"), float("inf"), 3.0))
    number = random.choice((*NUMBERS, random.randrange(32), (old or 0) + 1, (old or 0) - 1))
    bits = 32 if field.cpp_type in (field.CPPTYPE_INT32, field.CPPTYPE_ENUM) else 64
    if field.type == field.TYPE_ENUM:
        return random.choice(field.enum_type.values).number
    return (number + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))


def _node(proto, random):
    """Another operator in a node, or a new node on the way of a value."""
    import onnx

    nodes = proto.graph.node
    if not nodes:
        return
    operators = sorted({schema.name for schema in onnx.defs.get_all_schemas()})
    operator = random.choice(operators)
    if random.random() < 0.5:
        random.choice(nodes).op_type = operator
        return
    index = random.randrange(len(nodes))
    target = nodes[index]
    if not target.input:
        return
    slot = random.randrange(len(target.input))
    constants = [tensor.name for tensor in proto.graph.initializer]
    extra = random.choices(constants, k=random.randint(0, 3)) if constants else []
    made = onnx.helper.make_node(operator, [target.input[slot], *extra], [f"made{index}"])
    target.input[slot] = f"made{index}"
    moved = [copy.deepcopy(node) for node in nodes]
    del nodes[:]
    nodes.extend([*moved[:index], made, *moved[index:]])


def _rewire(proto, random):
    """An input of a node taken from elsewhere: perhaps from one after it."""
    names = [name for node in proto.graph.node for name in node.output]
    names += [tensor.name for tensor in proto.graph.initializer]
    nodes = [node for node in proto.graph.node if node.input]
    if names and nodes:
        node = random.choice(nodes)
        node.input[random.randrange(len(node.input))] = random.choice(names)


def _constant(proto, random):
    """A small constant of other numbers, or of a shape that its data does not have."""
    if not proto.graph.initializer:
        return
    tensor = random.choice(proto.graph.initializer)
    if random.random() < 0.5:
        tensor.ClearField("raw_data")
        tensor.ClearField("float_data")
        tensor.data_type = 7
        count = random.randint(1, 5)
        del tensor.dims[:]
        tensor.dims.append(count)
        tensor.raw_data = struct.pack(f"<{count}q", *random.choices(NUMBERS, k=count))
    elif tensor.dims:
        tensor.dims[random.randrange(len(tensor.dims))] = random.choice(NUMBERS)


def _metadata(proto, random):
    """A value in the card or in the self-test."""
    if proto.metadata_props:
        entry = random.choice(proto.metadata_props)
        changed = mutate_json(entry.value, random)
        entry.value = changed.decode("utf-8", "replace") if isinstance(changed, bytes) else changed


def fix_png(data):
    """A PNG with the checksum of every chunk corrected; other bytes as they are."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    out, at = bytearray(data[:8]), 8
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        body = data[at + 4 : at + 8 + size]
        out += data[at : at + 4] + body + zlib.crc32(body).to_bytes(4, "big")
        at += 12 + size
    return bytes(out + data[at:])


def mutate_checkpoint(data, random):
    """The steps of a checkpoint's pickles cut out, doubled, swapped, or joined by hostile ones."""
    if not data.startswith(b"PK"):
        return _mutate_pickle(data, random) if data.startswith(b"\x80") else data
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(member.filename, archive.read(member)) for member in archive.infolist()]
    except Exception:  # noqa: BLE001 - it was changed at random before
        return data
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of two members with one name
        for name, content in members:
            archive.writestr(name, _mutate_pickle(content, random) if name.endswith(".pkl") else content)
    return out.getvalue()


def _mutate_pickle(data, random):
    from tests.hostile.checkpoints import PICKLES

    places, file = [], io.BytesIO(data)
    with contextlib.suppress(Exception):
        while len(places) < 5000:  # a stream has five pickles, and then what is not one
            places += [place for _, _, place in pickletools.genops(file)]
    if len(places) < 5:
        return data
    first = 3 if data.startswith(b"\x80\x02\x8a\n") else 1  # after the mark of a stream
    steps = [data[begin:end] for begin, end in itertools.pairwise([*places, len(data)])]
    small = [piece for piece in PICKLES.values() if len(piece) < 2000]
    for _ in range(random.randint(1, 4)):
        at, what = random.randrange(first, len(steps)), random.randrange(5)
        if what == 0 and len(steps) > first + 1:
            del steps[at]
        elif what == 1:
            steps.insert(at, steps[random.randrange(len(steps))])
        elif what == 2:
            other = random.randrange(first, len(steps))
            steps[at], steps[other] = steps[other], steps[at]
        elif what == 3:
            steps.insert(at, random.choice(small))
        else:
            number = random.choice(NUMBERS)
            steps[at] = b"\x8a\x09" + number.to_bytes(9, "little", signed=True)
    return b"".join(steps)


def mutate_picture(data, random):
    """The parts of a picture repeated, dropped, moved, cut or closed: chunks, segments and scans, entries."""
    if data.startswith(b"\x89PNG"):
        return fix_png(data[:8] + b"".join(_rearranged(_png_parts(data), random)))
    if data.startswith(b"\xff\xd8"):
        parts = _rearranged(_jpeg_parts(data), random)
        return b"\xff\xd8" + b"".join(parts) + (b"\xff\xd9" if random.random() < 0.7 else b"")
    if data.startswith(b"RIFF"):
        body = b"WEBP" + b"".join(_rearranged(_riff_parts(data), random))
        return b"RIFF" + struct.pack("<I", len(body)) + body
    if data[:4] in (b"II*\0", b"MM\0*"):
        return _with_other_entries(data, random)
    return data


def _rearranged(parts, random):
    for _ in range(random.randint(1, 3)):
        if not parts:
            break
        index, what = random.randrange(len(parts)), random.randrange(5)
        if what == 0:
            parts[index : index + 1] = [parts[index]] * random.choice((2, 3, 50, 2000))
        elif what == 1:
            del parts[index]
        elif what == 2:
            parts.insert(index, parts.pop(random.randrange(len(parts))))
        elif what == 3:
            parts[index] = parts[index][: random.randrange(len(parts[index]) + 1)]
        else:
            del parts[index + 1 :]
    return parts


def _png_parts(data):
    parts, at = [], 8
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        parts.append(data[at:end])
        at = end
    return parts


def _jpeg_parts(data):
    """Segments, each scan with its data; a marker in a scan ends it."""
    starts = [i for i in range(2, len(data) - 1) if data[i] == 0xFF and 0xC0 <= data[i + 1] < 0xFF]
    starts = [i for i in starts if not 0xD0 <= data[i + 1] <= 0xD9]
    return [data[start:end] for start, end in zip(starts, [*starts[1:], len(data)], strict=False)]


def _riff_parts(data):
    parts, at = [], 12
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        parts.append(data[at : at + 8 + length + length % 2])
        at += 8 + length + length % 2
    return parts


def _with_other_entries(data, random):
    """Entries of the first directory with another tag, type, count or value."""
    order = "<" if data[:2] == b"II" else ">"
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    if start + 2 > len(data):
        return data
    (count,) = struct.unpack_from(f"{order}H", data, start)
    out = bytearray(data)
    for _ in range(random.randint(1, 3)):
        at = start + 2 + 12 * random.randrange(max(count, 1))
        if at + 12 > len(out):
            continue
        entry = list(struct.unpack_from(f"{order}HHII", out, at))
        field = random.randrange(4)
        numbers = (0, 1, 2, 7, 8, 255, 65535, 1 << 20, (1 << 32) - 1, entry[field] * 2, entry[field] + 1)
        entry[field] = random.choice(numbers) % (1 << (16 if field < 2 else 32))
        struct.pack_into(f"{order}HHII", out, at, *entry)
    return bytes(out)


def mutate_bag(data, random):
    """Records of an mcap cut out, doubled, swapped, joined by hostile ones, or with other numbers."""
    if not data.startswith(MCAP):
        return _with_numbers(data, random)
    from tests.hostile.bags import BOTH, chunk, message

    records, at = [], len(MCAP)
    while at + 9 <= len(data) - len(MCAP):
        size = int.from_bytes(data[at + 1 : at + 9], "little")
        records.append(data[at : at + 9 + size])
        at += 9 + size
        if size > len(data):
            return data
    if not records:
        return _with_numbers(data, random)
    for _ in range(random.randint(1, 4)):
        place, what = random.randrange(len(records)), random.randrange(5)
        if what == 0 and len(records) > 2:
            del records[place]
        elif what == 1:
            records.insert(place, random.choice(records))
        elif what == 2:
            other = random.randrange(len(records))
            records[place], records[other] = records[other], records[place]
        elif what == 3:
            made = (message(b"x", random.choice(NUMBERS) % 2**64), BOTH, chunk(message()))
            records.insert(place, random.choice(made))
        else:
            records[place] = records[place][:9] + _with_numbers(records[place][9:], random)
    return MCAP + b"".join(records) + MCAP


def _with_numbers(data, random):
    """One to three numbers of four or eight bytes replaced."""
    out = bytearray(data)
    for _ in range(random.randint(1, 3)):
        width = random.choice((4, 8))
        if len(out) > width:
            place = random.randrange(len(out) - width)
            out[place : place + width] = (random.choice(NUMBERS) % 2 ** (8 * width)).to_bytes(width, "little")
    return bytes(out)
