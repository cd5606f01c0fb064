"""What a stream of server-sent events consists of."""

import json

import pytest

from gallery_gateway.edge.event_stream import single_event


@pytest.mark.parametrize(
    "text", ["plain", "Größe 40 €", "🧥 coat", '"quoted" \\ \n\u2028', "\x7f\x80", '\\é\\\\"é\\n']
)
def test_an_event_is_ascii_and_has_the_text_of_the_response(text: str) -> None:
    body = json.dumps({"data": {"name": text}}, ensure_ascii=False).encode()

    response = single_event(body, ())

    assert response.body.isascii()
    name, data, *rest = response.body.decode().split("\n")
    assert (name, rest) == ("event: next", ["", "event: complete", "data:", "", ""])
    assert json.loads(data.removeprefix("data: ")) == {"data": {"name": text}}


def test_json_in_several_lines_is_one_line_of_data() -> None:
    """A scalar of any JSON stays as the REST API wrote it."""
    response = single_event(b'{"data":{"remarks":{\r\n\t"text": "Gr\xc3\xb6\xc3\x9fe\\n"\n\n}}}', ())

    name, data, *rest = response.body.decode().split("\n")
    assert (name, rest) == ("event: next", ["", "event: complete", "data:", "", ""])
    assert "\r" not in data
    assert json.loads(data.removeprefix("data: ")) == {"data": {"remarks": {"text": "Größe\n"}}}
