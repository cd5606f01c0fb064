"""The questions that the contract leaves open, each settled one way or the other."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """One way in which the endpoint may turn out, under "Open" in the REST contract.

    Args:
        unknown_is_404: a `project_id` that the caller cannot see is a 404, not an empty list.
        past_end_is_404: a page after the last one is a 404, not an empty list.
        lists_empty_projects: under an image filter, projects without a matching image are listed.
        invalid_status: what an invalid parameter answers, 400 or 422.
    """

    unknown_is_404: bool = False
    past_end_is_404: bool = False
    lists_empty_projects: bool = True
    invalid_status: int = 422
