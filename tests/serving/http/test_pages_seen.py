"""Pages are remembered up to a number of them, and of what they showed."""

from datetime import UTC, datetime

from ukdsl_assets.serving.http.pages_seen import PagesSeen, SeenPage

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def page(shown: int) -> SeenPage:
    return SeenPage(NOON, tuple(range(shown)), True)


def test_the_oldest_pages_are_forgotten_by_their_number_and_by_what_they_showed() -> None:
    seen = PagesSeen(most=3, most_ids=10)
    for request, shown in enumerate((1, 1, 1, 1)):
        seen.add("c", request, page(shown))
    assert [seen.get("c", request) is not None for request in range(4)] == [False, True, True, True]

    seen.add("c", 4, page(9))
    assert [seen.get("c", request) is not None for request in range(1, 5)] == [False, False, True, True]
    # One that comes again counts once, and one above all bounds is kept until the next.
    for _ in range(3):
        seen.add("c", 4, page(9))
    assert seen.get("c", 3) is not None
    seen.add("c", 5, page(20))
    assert seen.get("c", 4) is None
    assert seen.get("c", 5) == page(20)
