"""The words of code, messages, page texts and the documentation."""

from tests.style import problems


def test_no_word_is_used_that_the_project_avoids():
    assert list(problems()) == []
