"""The register of the rows' checks, and what they say alike. A check watches from outside what its row's sentence says; it
returns a figure or nothing."""

from sluice import check

CHECKS = {}
# What the feature list wants of a change, in seconds.
SOON = 2


def row(identifier):
    def register(function):
        CHECKS[identifier] = function
        return function
    return register


def refused(answer, status, code):
    check(answer.status == status and answer.code == code, f"expected {status} {code}, got {answer.status} {answer.code}")
    return answer.json


def within(seconds):
    """In words: a slow machine is no fault of the product, and no reason to hide the figure."""
    return f"within {seconds:.2f} s" + ("" if seconds < SOON else f", not yet the {SOON} s that are wanted")
