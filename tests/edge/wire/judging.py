"""What must hold between a stream, what the edge made of it, and what h11 reads out of it."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import h11

from gallery_gateway.edge.request import KEYED_HEADERS
from tests.edge.wire.driving import Outcome
from tests.edge.wire.recording import SEEN, Record, seen
from tests.edge.wire.streams import Stream
from tests.edge.wire.strict import Headers, Reading, StrictRequest, read_strictly

# Headers of the connection; the edge may drop an offer to upgrade that it ignores.
_HOP_BY_HOP = (b"connection", b"upgrade", b"http2-settings")


class Disagreement(AssertionError):  # noqa: N818  # the word for it
    """The edge and h11 read a stream in two ways, or an answer went astray."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One final response of the server; `seen` is None for a refusal, which the app has no part in."""

    status: int
    seen: bytes | None


@contextmanager
def judged(seed: str, stream: Stream, outcome: Outcome) -> Iterator[None]:
    """A disagreement within is told with all that is needed to see it again."""
    try:
        yield
    except Disagreement as exc:
        raise Disagreement(
            f"{exc}\ncase {seed}, valid: {stream.is_valid}\n"
            f"pieces: {list(stream.pieces)}\nanswer: {outcome.sent!r}"
        ) from exc


def judge(stream: Stream, outcome: Outcome) -> Reading:
    """What h11 reads.

    Raises:
        Disagreement: with the reason.
    """
    reading = read_strictly(stream.wire)
    if outcome.faults:
        raise Disagreement(f"the protocol failed: {outcome.faults}")
    _judge_requests(outcome, reading)
    answers = read_answers(outcome.sent, [record.method for record in outcome.records], reading.requests)
    _judge_answers(answers, outcome)
    refused = bool(answers) and answers[-1].seen is None
    if not (refused or outcome.is_closed):
        _judge_waiting(outcome.records, reading)
    if stream.is_valid:
        judge_valid(stream, answers, reading, is_closed=outcome.is_closed)
    return reading


def _judge_requests(outcome: Outcome, reading: Reading) -> None:
    """Each request that the app was handed is what h11 reads in its place."""
    for number, record in enumerate(outcome.records):
        if number >= len(reading.requests):
            raise Disagreement(f"request {number} is read by the edge alone; h11: {reading.ended}")
        strict = reading.requests[number]
        if (record.method, record.path, record.query) != (strict.method, *address(strict.target)):
            raise Disagreement(f"request {number} is {record}, and for h11 {strict}")
        if record.body is not None and record.body != strict.body:
            raise Disagreement(
                f"the body of request {number} is {record.body!r}, and for h11 {strict.body!r}"
            )
        if record.version != strict.version:
            raise Disagreement(f"the version of request {number} is {record.version!r}")
        # A replay was made for a request whose other headers may have differed.
        names = KEYED_HEADERS if record.is_again else None
        if strict.differences:
            continue
        if _comparable(record.headers, names) != _comparable(strict.headers, names):
            raise Disagreement(f"the headers of request {number} are {record.headers}, not {strict.headers}")


def _comparable(headers: Headers, names: Collection[bytes] | None) -> list[tuple[bytes, bytes]]:
    # The parser of the edge leaves the white space behind a value in it (RFC 9110, 5.5, would have it off).
    stripped = [(name, value.rstrip(b" \t")) for name, value in headers]
    return [
        (name, value.lower() if name == b"transfer-encoding" else value)
        for name, value in stripped
        if name not in _HOP_BY_HOP and (names is None or name in names)
    ]


def _judge_answers(answers: Sequence[Answer], outcome: Outcome) -> None:
    """Each handled request has its own answer, in order; a refusal is the last word."""
    handled = [answer.seen for answer in answers if answer.seen is not None]
    expected = [record.seen for record in outcome.records]
    if handled != expected[: len(handled)]:
        raise Disagreement(f"the answers are to {handled}, the requests were {expected}")
    if any(answer.seen is None for answer in answers[:-1]):
        raise Disagreement("something was answered after a refusal")
    if answers and answers[-1].seen is None and not outcome.is_closed:
        raise Disagreement("the connection is open after a refusal")
    unanswered = outcome.records[len(handled) :]
    if any(record.body is not None for record in unanswered):
        raise Disagreement(f"{len(unanswered)} requests have no answer: {answers}")


def _judge_waiting(records: Sequence[Record], reading: Reading) -> None:
    """The edge waits for more only where h11 does too."""
    whole = [strict for strict in reading.requests if strict.body is not None]
    complete = [record for record in records if record.body is not None]
    unread = [record for record in records if record.body is None]
    if len(complete) + len(unread) < len(whole) or (not unread and len(complete) != len(whole)):
        raise Disagreement(f"the edge waits after {len(complete)} requests, h11 has {len(whole)}")
    if reading.ended == "closed":
        raise Disagreement("the connection is open after its last request")


def judge_valid(stream: Stream, answers: Sequence[Answer], reading: Reading, *, is_closed: bool) -> None:
    """Every request of an undamaged stream is read as it was made, and answered."""
    made = stream.messages[: stream.handled]
    read = [(request.method, request.target, request.body) for request in reading.requests]
    if read != [(message.method, message.target, message.body) for message in made]:
        raise Disagreement(f"h11 reads {len(read)} of {len(made)} valid requests: {reading.ended}")
    if any(answer.seen is None for answer in answers):
        raise Disagreement(f"a valid stream is refused: {answers}")
    if len(answers) != len(made):
        raise Disagreement(f"{len(made)} valid requests have {len(answers)} answers")
    for number, (message, answer) in enumerate(zip(made, answers, strict=True)):
        if not is_seen(answer, message.method, message.target, message.body):
            raise Disagreement(f"the answer {number} is not to the request that was made")
    if is_closed != (reading.ended == "closed"):
        raise Disagreement(f"closed: {is_closed}; h11: {reading.ended}")


def is_seen(answer: Answer, method: bytes, target: bytes, body: bytes) -> bool:
    """Whether it is the answer to this request."""
    path, query = address(target)
    return answer.seen in {seen(method, path, query, body), seen(method, path, query, None)}


def address(target: bytes) -> tuple[bytes, bytes]:
    """Path and query of a target in origin or absolute form, or `*` (RFC 9112, 3.2)."""
    target = re.sub(rb"\A[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*", b"", target)
    path, _, query = target.partition(b"#")[0].partition(b"?")
    return path, query


def read_answers(sent: bytes, methods: Sequence[bytes], requests: Sequence[StrictRequest]) -> list[Answer]:
    """The final responses in what the server sent, as h11 reads them.

    Args:
        methods: of the requests, since the answer to HEAD has no body.

    Raises:
        Disagreement: something in it is no response, or an interim one that nobody may get.
    """
    answers: list[Answer] = []
    while sent:
        number = len(answers)
        method = methods[number] if number < len(methods) else b"GET"
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
        client.send(h11.EndOfMessage())
        client.receive_data(sent)
        try:
            answer = _read_answer(client, requests[number : number + 1])
        except h11.RemoteProtocolError as exc:
            raise Disagreement(f"answer {number} is none: {exc}: {sent[:200]!r}") from exc
        if answer is None:
            break
        answers.append(answer)
        sent = client.trailing_data[0]
    return answers


def _read_answer(client: h11.Connection, requests: Sequence[StrictRequest]) -> Answer | None:
    """One answer; None if it is not whole. The first of `requests` is what it is for."""
    answer: Answer | None = None
    interim = 0
    while True:
        event = client.next_event()
        if isinstance(event, h11.InformationalResponse):
            interim += 1
            if not requests or requests[0].version < b"1.1" or interim > 1:
                raise Disagreement(f"an interim response {event.status_code} to {requests}")
        elif isinstance(event, h11.Response):
            answer = Answer(event.status_code, dict(event.headers).get(SEEN))
        elif isinstance(event, h11.EndOfMessage):
            return answer
        elif not isinstance(event, h11.Data):
            return None


def counts_of(stream: Stream, outcome: Outcome, reading: Reading) -> Counter[str]:
    """What a stream adds to the figures of a run."""
    counts = Counter({"byte streams": 1, "requests in byte streams": len(outcome.records)})
    counts["valid byte streams"] += stream.is_valid
    counts["byte streams with a refusal"] += b"BAD_REQUEST" in outcome.sent
    counts["requests in byte streams answered again"] += sum(record.is_again for record in outcome.records)
    differences = [name for strict in reading.requests[: len(outcome.records)] for name in strict.differences]
    counts["requests with a named difference"] += len(differences)
    return counts
