"""What the README's table of costs promises, counted again."""

from tests.benchmarks.thrift import Bill, dashboard, list_then_detail, measure, progress, totals

MINUTE = 60
UNFINISHED_TTL_SECONDS = 3


async def test_totals_alone_fetch_at_most_a_twentieth_of_the_bytes() -> None:
    off, on = await measure(totals, thrift=False), await measure(totals, thrift=True)

    assert on.size_bytes <= off.size_bytes / 20


async def test_a_dashboard_of_ten_aliases_costs_one_call() -> None:
    assert (await measure(dashboard, thrift=True)).calls == 1


async def test_fifty_pollers_cost_at_most_one_call_in_each_fresh_period() -> None:
    bill: Bill = await measure(progress, thrift=True)

    assert bill.calls <= MINUTE / UNFINISHED_TTL_SECONDS


async def test_a_project_of_the_list_costs_no_call_of_its_own() -> None:
    assert (await measure(list_then_detail, thrift=True)).calls == 1
