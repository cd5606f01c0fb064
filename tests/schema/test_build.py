from pathlib import Path

from gallery_gateway.schema.build import build_schema

COMMITTED = Path(__file__).parent.parent.parent / "schema.graphql"


def test_the_committed_schema_is_what_the_code_prints() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == build_schema().sdl
