"""Messages of any type with random content that a seed decides, and digests to compare content by.

Two messages have the same digest exactly when all their fields are equal. Messages themselves are compared, never CDR:
its padding bytes are not defined.
"""

from __future__ import annotations

import hashlib
import importlib
import math
import random
import struct
from array import array

from rosidl_parser.definition import (
    AbstractSequence, AbstractString, AbstractWString, Array, BasicType, BoundedSequence, NamespacedType,
)  # fmt: skip

# Longest sequence where the type sets no bound. Longer ones nest into messages that take long to make.
_LONGEST_SEQUENCE = 4
_ALPHABET = "abcXYZ 0189_/äß→車🚀"
_INTEGER_BITS = {"int8": 8, "int16": 16, "int32": 32, "int64": 64}


def message_class(type_name: str):
    """The class of a type written as in `std_msgs/msg/String`."""
    package, kind, name = type_name.split("/")
    return getattr(importlib.import_module(f"{package}.{kind}"), name)


def random_message(type_name: str, seed: object, size: int | None = None):
    """A message whose content `seed` decides; with `size`, its field `data` gets so many bytes and the rest none."""
    source = random.Random(f"{type_name} {seed}")
    if size is None:
        return _filled(message_class(type_name), source)
    message = message_class(type_name)()
    data = source.randbytes(size)
    # Bytes of an array are taken as they are; of anything else ROS looks at each.
    message.data = data.decode("latin-1") if isinstance(message.data, str) else array("B", data)
    return message


def digest(message) -> str:
    """What tells apart messages of one type by their content."""
    hasher = hashlib.sha256()
    _feed(hasher, message)
    return hasher.hexdigest()[:16]


def plain(value):
    """The message as dicts, lists and numbers, for JSON."""
    if hasattr(value, "get_fields_and_field_types"):
        return {name: plain(getattr(value, name)) for name in value.get_fields_and_field_types()}
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, bytes):
        return list(value)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def _filled(of_class, source: random.Random):
    message = of_class()
    for name, kind in zip(of_class.get_fields_and_field_types(), of_class.SLOT_TYPES):
        setattr(message, name, _random_value(kind, source))
    return message


def _random_value(kind, source: random.Random):
    match kind:
        case BasicType():
            return _random_basic(kind.typename, source)
        case AbstractString() | AbstractWString():
            bound = getattr(kind, "maximum_size", None)
            # Long enough to be like no other where no bound forbids it.
            length = source.randint(8, 24) if bound is None else source.randint(0, bound)
            text = "".join(source.choices(_ALPHABET, k=length))
            # The bound counts bytes.
            return text.encode()[:bound].decode(errors="ignore")
        case NamespacedType():
            return _filled(message_class("/".join(kind.namespaced_name())), source)
        case Array():
            return [_random_value(kind.value_type, source) for _ in range(kind.size)]
        case AbstractSequence():
            longest = kind.maximum_size if isinstance(kind, BoundedSequence) else _LONGEST_SEQUENCE
            # A message that is nothing but an empty list would be like any other such.
            shortest = 1 if isinstance(kind.value_type, NamespacedType) else 0
            return [_random_value(kind.value_type, source) for _ in range(source.randint(shortest, longest))]
    raise TypeError(f"no random value for {kind}")


def _random_basic(name: str, source: random.Random):
    if name in ("boolean",):
        return source.random() < 0.5
    if name in ("float", "double"):
        value = source.uniform(-1.0, 1.0) * 10.0 ** source.randint(-6, 6)
        # A float of 32 bits comes back as it went only if it is one.
        return struct.unpack("f", struct.pack("f", value))[0] if name == "float" else value
    if name == "octet":
        return source.randbytes(1)
    if name in ("char", "uint8"):
        return source.getrandbits(8)
    if name in _INTEGER_BITS:
        bits = _INTEGER_BITS[name]
        return source.getrandbits(bits) - (1 << (bits - 1))
    return source.getrandbits(int(name.removeprefix("uint")))


def _feed(hasher, value) -> None:
    if hasattr(value, "get_fields_and_field_types"):
        for name in value.get_fields_and_field_types():
            _feed(hasher, getattr(value, name))
    elif hasattr(value, "tobytes"):
        hasher.update(f"array {len(value)} ".encode() + value.tobytes())
    elif isinstance(value, (list, tuple)):
        hasher.update(f"list {len(value)} ".encode())
        for item in value:
            _feed(hasher, item)
    elif isinstance(value, float) and math.isnan(value):
        hasher.update(b"nan ")
    else:
        text = repr(value).encode()
        hasher.update(f"value {len(text)} ".encode() + text)
