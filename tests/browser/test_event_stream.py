"""The reader of server-sent events of the gallery page, in the real browser."""

from typing import Any

import pytest
from playwright.sync_api import Page

# The module is loaded by the page itself, whose policy allows scripts of its own origin only.
_READ = """async (bodies) => {
  const { readEvents } = await import('/demo/event-stream.js');
  const bodyOf = (chunks) => new ReadableStream({
    start(controller) {
      chunks.forEach((chunk) => controller.enqueue(new Uint8Array(chunk)));
      controller.close();
    },
  });
  return Promise.all(bodies.map(async (chunks) => {
    const events = [];
    for await (const event of readEvents(bodyOf(chunks))) events.push(event);
    return events;
  }));
}"""

_STREAM = (
    "retry: 1500\n\n:\n\nevent: next\ndata: {\"name\":\"Größe \N{BLACK HEART SUIT} 色\"}\n\n"
    "event: complete\ndata:\n\n"
)  # fmt: skip


@pytest.fixture(scope="module")
def reader(open_page: Any) -> Any:
    with open_page() as watched:
        watched.page.goto("/?search=nothing is called so")
        yield watched.page


def read(page: Page, *bodies: list[bytes]) -> list[list[dict[str, Any]]]:
    """The events of each body, which arrives in these chunks."""
    found: list[list[dict[str, Any]]] = page.evaluate(
        _READ, [[list(chunk) for chunk in body] for body in bodies]
    )
    return found


def read_one(page: Page, text: str) -> list[dict[str, Any]]:
    return read(page, [text.encode()])[0]


def data_of(page: Page, text: str) -> list[str]:
    return [event["data"] for event in read_one(page, text)]


def test_a_stream_of_the_gateway_is_read(reader: Page) -> None:
    events = read_one(reader, _STREAM)

    assert events == [
        {"type": "next", "data": '{"name":"Größe \N{BLACK HEART SUIT} 色"}', "retry": 1500},
        {"type": "complete", "data": "", "retry": 1500},
    ]


@pytest.mark.parametrize("line_end", ["\n", "\r", "\r\n"], ids=["LF", "CR", "CRLF"])
def test_wherever_the_bytes_are_cut_the_events_are_the_same(reader: Page, line_end: str) -> None:
    whole = _STREAM.replace("\n", line_end).encode()
    cuts = [[whole[:at], whole[at:]] for at in range(1, len(whole))]
    bytewise = [whole[at : at + 1] for at in range(len(whole))]

    found = read(reader, [whole], bytewise, *cuts)

    assert found == [read_one(reader, _STREAM)] * len(found)


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("data: one\ndata: two\n\n", ["one\ntwo"]),
        ("data:one\n\ndata:  two\n\n", ["one", " two"]),
        ("data\n\n", [""]),
        ("data: a: b\n\n", ["a: b"]),
        ("\ufeffdata: after a byte order mark\n\n", ["after a byte order mark"]),
        (": a comment\ndata: one\n: another\n\n", ["one"]),
        ("data: one\nunknown: x\nid: 7\n\n", ["one"]),
        ("event: without data\n\n", []),
        ("data: not finished", []),
        ("data: not finished\n", []),
        ("\n\n\n", []),
        ("", []),
    ],
)
def test_lines_are_read_as_the_standard_says(reader: Page, text: str, data: list[str]) -> None:
    assert data_of(reader, text) == data


def test_a_type_is_that_of_one_event_only(reader: Page) -> None:
    events = read_one(reader, "event: next\n\ndata: one\n\nevent: next\ndata: two\n\ndata: three\n\n")

    assert [event["type"] for event in events] == ["message", "next", "message"]


@pytest.mark.parametrize(("retry", "known"), [("2000", 2000), ("soon", None), ("-1", None), ("", None)])
def test_a_time_to_wait_is_digits(reader: Page, retry: str, known: int | None) -> None:
    [event] = read_one(reader, f"retry: {retry}\ndata: one\n\n")

    assert event["retry"] == known


def test_bytes_are_noticed_that_are_no_event(reader: Page) -> None:
    noticed = reader.evaluate("""async () => {
      const { readEvents } = await import('/demo/event-stream.js');
      let count = 0;
      const body = new Blob([':\\n\\n']).stream();
      for await (const _ of readEvents(body, { onBytes: () => (count += 1) })) count += 100;
      return count;
    }""")

    assert noticed == 1
