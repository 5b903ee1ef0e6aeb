"""The words of code, messages and page texts."""

from tests.style import problems


def test_no_word_is_used_that_the_project_avoids():
    assert list(problems()) == []
