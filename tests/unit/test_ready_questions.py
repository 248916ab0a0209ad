"""The built-in questions: their files, their parameters, and lines whose parameter is missing."""

from __future__ import annotations

import pytest

from chatlake.errors import UsageError
from chatlake.lake.catalog.ready_questions import ready_question, ready_questions


@pytest.mark.parametrize("name", ready_questions())
def test_every_parameter_of_a_file_is_declared_and_used(name: str) -> None:
    """What the SQL names is declared with a description, and nothing is declared in vain."""
    question = ready_question(name)
    used = {word for line in question.template.splitlines() for word in _names(line)}

    assert used == {parameter.name for parameter in question.parameters}
    assert question.description.endswith((".", "?"))
    assert all(parameter.description.endswith(".") for parameter in question.parameters)


def _names(line: str) -> list[str]:
    return [piece.split()[0].strip(",)]") for piece in line.split("$")[1:]]


@pytest.mark.parametrize("name", ready_questions())
def test_lines_whose_parameter_was_not_given_are_left_out(name: str) -> None:
    """Without options no $ is left, and with one its value stands as a literal."""
    question = ready_question(name)
    needed = {each.name: "it's" for each in question.parameters if each.is_needed}

    assert "$" not in question.sql(needed)
    assert "'o''ne'" in question.sql({**needed, "source": "o'ne"})
    assert ("source = 'o''ne'" in question.sql({**needed, "source": "o'ne"})) or name == "tools"


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("usage", {"since": "yesterday"}, "--since: expected a date such as 2026-01-31"),
        ("usage", {"until": "2026-13-01"}, "--until: expected a date"),
        ("examples", {"limit": "1; DROP"}, "--limit: expected a number"),
        ("usage", {"key": "team"}, "the question usage does not take --key"),
        ("by-key", {}, "the question by-key needs --key"),
        ("usgae", {}, "there is no question 'usgae'"),
    ],
)
def test_wrong_options_are_named(name: str, given: dict[str, str], message: str) -> None:
    """A value of another kind, an option too many or too few, and an unknown name are errors."""
    with pytest.raises(UsageError, match=message):
        ready_question(name).sql(given)


def test_a_near_name_is_proposed() -> None:
    """A name with a slip has the right one in its hint."""
    with pytest.raises(UsageError) as caught:
        ready_question("refusal")

    assert "Did you mean refusals?" in caught.value.hint
