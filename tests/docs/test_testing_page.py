"""The examples of docs/testing.md are tests that pass."""

from __future__ import annotations

import pytest

from tests.docs.test_examples import blocks

pytest_plugins = ["pytester"]


def test_the_examples_pass(pytester: pytest.Pytester) -> None:
    examples = [text for language, text in blocks("docs/testing.md") if language == "python"]
    assert len(examples) == 4
    pytester.makepyfile(**{f"test_example_{number}": text for number, text in enumerate(examples)})
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--strict-markers")
    result.assert_outcomes(passed=len(examples))
