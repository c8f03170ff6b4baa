"""Defines what the clients written in Python share: the lines that they print."""

import sys
import time


def ok(phase, text):
    print(f"ok {phase}: {text}", flush=True)


def fail(phase, text):
    print(f"FAILED {phase}: {text}", flush=True)
    sys.exit(1)


def same(phase, got, want):
    """Ends the client unless got holds the records of want, once each."""
    if sorted(got) != sorted(want):
        missing = sorted(set(want) - set(got))[:5]
        extra = sorted(set(got) - set(want))[:5]
        fail(phase, f"got {len(got)} records, want {len(want)}; missing {missing}, not sent {extra}, "
                    f"{len(got) - len(set(got))} duplicates")


class Deadline:
    """Time left, in seconds, before a phase counts as failed."""

    def __init__(self, phase, seconds):
        self.phase, self.seconds, self.end = phase, seconds, time.monotonic() + seconds

    def check(self, text):
        if time.monotonic() > self.end:
            fail(self.phase, f"{text} after {self.seconds} s")
