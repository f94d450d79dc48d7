"""Docstrings in the three styles, and in none."""

from __future__ import annotations

import pytest

from modelwire._docstring import parse

GOOGLE = """Look up the weather.

    It is not always right.

    Args:
        city: The city, such as
            "Paris".
        days (int, optional): How many days: 1 to 5.
        *rest (list[tuple[int, str]]): More.
        quiet (Callable[[int], str]):

    Returns:
        text: What it found.
    """
NUMPY = """Look up the weather.

    It is not always right.

    Parameters
    ----------
    city : str
        The city, such as
        "Paris".
    days : int, optional
        How many days: 1 to 5.
    rest, others
        More.
    quiet : bool

    Returns
    -------
    text : str
        What it found.
    """
SPHINX = """Look up the weather.

    It is not always right.

    :param city: The city, such as
        "Paris".
    :param int days: How many days: 1 to 5.
    :type days: int
    :keyword rest: More.
    :param quiet:
    :returns: What it found.
    :raises KeyError: never
    """


@pytest.mark.parametrize("text", [GOOGLE, NUMPY, SPHINX], ids=["google", "numpy", "sphinx"])
def test_descriptions_are_found_in_every_style(text: str) -> None:
    found = parse(text)

    assert found.description == "Look up the weather.\n\nIt is not always right."
    assert found.parameters["city"] == 'The city, such as "Paris".'
    assert found.parameters["days"] == "How many days: 1 to 5."
    assert found.parameters["rest"] == "More."
    assert set(found.parameters) <= {"city", "days", "rest", "others"}


@pytest.mark.parametrize(
    ("text", "description"),
    [
        (None, ""),
        ("", ""),
        ("One line.", "One line."),
        ("Over\n    two lines: with a colon.", "Over\ntwo lines: with a colon."),
        ("Says so.\n\nReturns:\n    A number.", "Says so."),
        ("Says so.\n\nReturns\n-------\nint\n    A number.", "Says so."),
        ("Says so.\n\n:return: a number", "Says so."),
        ("Ratio 3:4 of a:b:c.", "Ratio 3:4 of a:b:c."),
        ("Args:\n    a: The first.", ""),
    ],
)
def test_text_before_the_first_section_is_the_description(text: str | None, description: str) -> None:
    assert parse(text).description == description


def test_a_section_ends_where_the_text_is_no_longer_indented() -> None:
    found = parse("Do it.\n\nArgs:\n    a: The first.\n\n    b: The second.\n\nMore text: not a parameter.")

    assert found.parameters == {"a": "The first.", "b": "The second."}
