"""The table of mutants: each of them can still be made, and the tests that should notice it are there."""

import re
import shlex
from pathlib import Path

from mutant_table import MUTANTS
from mutants import TOP, fault_of

TESTS = Path(__file__).parent


def test_every_mutant_can_be_made():
    faults = {str(mutant): fault for mutant in MUTANTS if (fault := fault_of(mutant))}

    assert faults == {}
    assert len(set(MUTANTS)) == len(MUTANTS)


def test_the_tests_that_should_notice_a_mutant_exist():
    for tests in {mutant.tests for mutant in MUTANTS}:
        files, _, words = tests.partition(" -k ")
        files = [(TESTS / file).resolve() for file in shlex.split(files)]
        names = [name for file in files for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)]
        for word in re.findall(r"\w+", words):
            assert word in ("or", "and", "not") or any(word in name for name in names), (tests, word)
        assert all(file.is_relative_to(TOP) for file in files)
