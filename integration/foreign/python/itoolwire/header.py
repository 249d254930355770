"""The headers of a message: lower-case keys, one spelling per value."""

import re

from .records import Reject

NAME = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")  # of runs and item keys
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_TEXT = re.compile(r"[ -~]{1,1024}\Z")
_SCHEMA = re.compile(r"[a-z]+/v[1-9][0-9]*\Z")
_NUMBERS = {"itool-round": -1, "itool-rows": 0, "itool-seed": 0}
_CHECKS = {"itool-run": NAME, "itool-key": NAME, "itool-sha256": _DIGEST, "itool-schema": _SCHEMA}

# What a result takes over from its task.
CARRIED = ("itool-run", "itool-round", "itool-key", "itool-seed", "itool-policy", "itool-config", "traceparent")
KNOWN = CARRIED + ("itool-input", "itool-schema", "itool-sha256", "itool-rows", "itool-worker")


def check(headers):
    """Check the values that are present. Keys that are not known are ignored: a newer writer may add some."""
    for key, value in headers.items():
        lower = key.lower()
        if lower.startswith("itool-") and key != lower:
            raise Reject(f"header {key[:64]!r}: must be written in lower case")
        if key in _NUMBERS:
            number(headers, key)
        elif key in KNOWN and not _CHECKS.get(key, _TEXT).match(value):
            raise Reject(f"header {key}: {value[:64]!r} has a form that is not allowed")


def number(headers, key):
    """The number of a header: decimal, with one spelling."""
    text = headers.get(key, "")
    top = (1 << 64) - 1 if key == "itool-seed" else (1 << 31) - 1
    if not re.fullmatch(r"0|-?[1-9][0-9]*", text) or not _NUMBERS[key] <= int(text) <= top:
        raise Reject(f"header {key}: {text[:64]!r} is not a number from {_NUMBERS[key]} to {top}")
    return int(text)
