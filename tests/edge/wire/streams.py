"""Byte streams that a client or a proxy could send: pipelined requests, valid or damaged, cut into pieces."""

import itertools
import random
from dataclasses import dataclass, field, replace

from tests.edge.wire.damages import damaged
from tests.edge.wire.messages import Message, closing, valid_message


@dataclass(frozen=True, slots=True)
class Stream:
    """What one client sends on one connection.

    Args:
        messages: the requests before they are damaged.
        is_valid: whether nothing is damaged; then each of `handled` must be answered.
        handled: how many of the messages a server handles: none after one that ends the connection.
    """

    pieces: tuple[bytes, ...]
    messages: tuple[Message, ...]
    is_valid: bool
    handled: int

    @property
    def wire(self) -> bytes:
        return b"".join(self.pieces)


@dataclass(frozen=True, slots=True)
class Case:
    """Streams on connections that follow one another at one server."""

    seed: str
    streams: tuple[Stream, ...] = field(repr=False)


def generate_case(seed: int, number: int) -> Case:
    """The same case for the same arguments."""
    name = f"{seed}:{number}"
    rng = random.Random(name)
    if rng.random() < 0.2:
        return Case(name, tuple(_repeating_streams(rng)))
    return Case(name, (generate_stream(rng),))


def _repeating_streams(rng: random.Random) -> list[Stream]:
    """The same few requests on several connections, in other pieces and another order each time.

    What the server remembers comes into play, which answers a request again whatever a proxy adds to it.
    """
    messages = [valid_message(rng) for _ in range(rng.choice((1, 2)))]
    streams = []
    for _ in range(rng.choice((2, 3, 4))):
        sent = [_passed_on(rng, rng.choice(messages)) for _ in range(rng.choice((1, 2, 3)))]
        wires = [message.wire for message in sent]
        pieces = wires if rng.random() < 0.6 else cut(rng, b"".join(wires))
        streams.append(Stream(tuple(pieces), tuple(sent), is_valid=True, handled=len(sent)))
    return streams


def _passed_on(rng: random.Random, message: Message) -> Message:
    """The message as a proxy passes it on."""
    added = [b"X-Request-ID: %d" % rng.randrange(1_000_000), b"x-forwarded-for: 203.0.113.7", b"Via: 1.1 a"]
    return replace(message, headers=(*rng.sample(added, rng.choice((0, 1, 3))), *message.headers))


def generate_stream(rng: random.Random, *, valid_share: float = 0.4) -> Stream:
    messages = [valid_message(rng) for _ in range(rng.choice((1, 1, 2, 2, 3, 4)))]
    handled = len(messages)
    # Most streams are only interesting while the connection lasts.
    if rng.random() < 0.25:
        last = rng.randrange(len(messages))
        messages[last] = closing(rng, messages[last])
        handled = last + 1
    if rng.random() < valid_share:
        wire = b"".join(message.wire for message in messages)
        return Stream(cut(rng, wire), tuple(messages), is_valid=True, handled=handled)
    return Stream(cut(rng, damaged(rng, messages)), tuple(messages), is_valid=False, handled=handled)


def cut(rng: random.Random, wire: bytes) -> tuple[bytes, ...]:
    """The stream in pieces, as they could come from a socket one after the other."""
    kind = rng.random()
    if kind < 0.2 or len(wire) < 2:
        points: list[int] = []
    elif kind < 0.4:
        points = [at + 4 for at in range(len(wire)) if wire.startswith(b"\r\n\r\n", at)]
    elif kind < 0.6:
        points = [at for at in range(1, len(wire)) if wire.startswith((b"POST ", b"GET ", b"HEAD "), at)]
    elif kind < 0.7 and len(wire) < 600:
        points = list(range(1, len(wire)))
    else:
        near_the_beginning = min(len(wire) - 1, 1_000)
        points = [rng.randint(1, near_the_beginning) for _ in range(rng.choice((1, 1, 2, 3, 6)))]
        points += [rng.randint(1, len(wire) - 1)]
    ends = [0, *sorted(set(points) - {0, len(wire)}), len(wire)]
    return tuple(wire[start:end] for start, end in itertools.pairwise(ends) if start < end)
