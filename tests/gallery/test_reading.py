"""A page that has just come is read as far as those who wait for it need."""

import json
from typing import Any

import msgspec

from gallery_gateway.gallery.entry import CacheEntry, FetchResult
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.upstream.caching import NOTHING_SAID
from gallery_gateway.upstream.contract import Page
from gallery_gateway.upstream.decoding import PageDecoder, decoder_for, parse_page
from tests.fakes import image_body, page_body, project_body

BODY = json.dumps(page_body(project_body(7, image_body(0)))).encode()


def reading(*attributes: str) -> PageDecoder:
    """What reads these attributes of the projects."""
    project = msgspec.defstruct("ProjectPlan", [(name, Any) for name in attributes])
    return decoder_for(msgspec.defstruct("PagePlan", [("projects", list[project])]))  # type: ignore[valid-type]  # made here


NAMES, KEYS = reading("project_name"), reading("project_key")


def arrived(reader: PageDecoder) -> FetchResult:
    entry = CacheEntry(
        request=GalleryRequest(),
        body=BODY,
        project_ids=(7,),
        is_unfinished=False,
        received_bytes=len(BODY),
        rules=NOTHING_SAID,
        asked_at=0,
        born_at=0,
        fresh_until=1,
        revalidate_until=1,
        stale_until=1,
        keep_until=1,
        link_margin_seconds=0,
    )
    return FetchResult(entry, reader(BODY), reader)


def test_no_more_is_read_than_is_asked_for() -> None:
    project: Any = arrived(NAMES).read(NAMES).projects[0]

    assert project.project_name == "Project 7"
    assert not hasattr(project, "project_key")


def test_who_shares_a_page_reads_of_it_what_the_first_did_not() -> None:
    fetched = arrived(NAMES)

    page = fetched.read(KEYS)

    assert hasattr(page.projects[0], "project_key")
    assert fetched.decoder is KEYS


def test_a_page_that_was_read_whole_is_read_by_everybody() -> None:
    fetched = arrived(NAMES)

    whole = fetched.read(parse_page)

    assert type(whole) is Page
    assert fetched.read(KEYS) is fetched.read(NAMES) is whole


def test_equal_selections_are_read_by_one_reader() -> None:
    assert reading("project_name") is NAMES
    assert reading("project_key") is not NAMES
