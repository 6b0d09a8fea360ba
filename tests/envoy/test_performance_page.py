"""docs/performance.md has what `make bench` measures, under the same names; not the same figures."""

import re

import pytest

from benches.proxy import flat, goals, page, rows

NAMES = [row.name for row in rows.rows()]


def test_names_are_told_apart():
    assert len(set(NAMES)) == len(NAMES)
    assert all("|" not in name for name in NAMES)


@pytest.mark.parametrize("row", rows.rows(), ids=lambda row: row.name)
def test_a_row_is_compared_with_one_that_has_no_filter(row):
    over = next(other for other in rows.rows() if other.name == row.over)
    assert over.over == over.name
    assert over.listener in ("bare", "direct")


def test_the_page_has_every_row_in_order():
    assert page.first_column("requests") == NAMES


def test_the_page_has_every_goal():
    wanted = [goal.name for goal in goals.goals({})]
    assert page.first_column("goals") == [*wanted, flat.MEMORY]


def test_the_page_has_what_must_not_grow():
    assert page.first_column("flat") == flat.NAMES


def test_the_page_says_on_what_machine_and_when():
    assert re.search(r"^- \d{4}-\d\d-\d\d, \d+ rounds", page.part("machine"))


def test_the_picture_has_every_row_with_a_filter():
    drawn = page.PLOT.read_text()
    missing = [row.name for row in rows.rows() if row.name != row.over and row.name not in drawn]
    assert not missing


def test_a_goal_that_was_not_measured_is_not_met():
    assert {goal.verdict for goal in goals.goals({})} == {"not measured"}
