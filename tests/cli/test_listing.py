"""`ukdsl list` tells what is declared and what of it is published."""

import json
from pathlib import Path

from tests.cli.test_status import opened
from tests.fixtures.command_line import Command, at
from tests.fixtures.published_day import publish_day


def test_own_cascades_come_first_with_students_and_days(shop: Path, ukdsl: Command) -> None:
    told = ukdsl("list", **at(shop))
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith(f"Your own cascades, in {shop}/cascades\nshop: A shop's carousel.\n")
    assert "  student pre_ranking_click: pre_ranking, click, of ranker, two_tower\n" in told.stdout
    assert told.stdout.index("no table is published yet") < told.stdout.index("Shipped beside them: kuairand,")
    assert "student retrieval_click" not in told.stdout
    assert max(map(len, told.stdout.splitlines()[1:])) <= 80


def test_one_cascade_is_listed_with_its_published_tables(shop: Path, ukdsl: Command) -> None:
    publish_day(*opened(shop))
    told = ukdsl("list", "shop", **at(shop)).stdout
    assert "    candidate_log: 1 day(s) to 2026-03-01, 60 rows then\n" in told
    assert "    pre_ranking_click/evaluation: 1 day(s)" in told
    (read,) = json.loads(ukdsl("list", "shop", "--json", **at(shop)).stdout)
    assert read["own"]
    assert read["last_day"] == "2026-03-03"
    student = {"student": "pre_ranking_click", "stage": "pre_ranking", "task": "click", "teacher": "ranker"}
    assert read["students"] == [student | {"architecture": "two_tower"}]
    log = next(table for table in read["tables"] if table["table"] == "shop/candidate_log")
    assert (log["days"], log["newest_day"], log["rows_of_newest_day"]) == (1, "2026-03-01", 60)
