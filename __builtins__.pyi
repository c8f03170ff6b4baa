# The words of starfall for editors: a Python language server that finds this
# file beside a scenario knows them. Generated from the table of builtins.

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

_T = TypeVar("_T")

class _Duration:
    def __add__(self, other: _Duration | str) -> _Duration: ...
    def __radd__(self, other: str) -> _Duration: ...
    def __sub__(self, other: _Duration | str) -> _Duration: ...
    def __rsub__(self, other: str) -> _Duration: ...
    def __mul__(self, other: float) -> _Duration: ...
    def __rmul__(self, other: float) -> _Duration: ...
    def __truediv__(self, other: Any) -> Any: ...
    def __neg__(self) -> _Duration: ...
    def __pos__(self) -> _Duration: ...
    def __lt__(self, other: _Duration) -> bool: ...
    def __le__(self, other: _Duration) -> bool: ...
    def __gt__(self, other: _Duration) -> bool: ...
    def __ge__(self, other: _Duration) -> bool: ...

class _Instant:
    def __add__(self, other: _Duration | str) -> _Instant: ...
    def __radd__(self, other: _Duration | str) -> _Instant: ...
    def __sub__(self, other: _Duration | str) -> _Instant: ...

class _Action: ...
class _Claim: ...
class _Node: ...
class _Member: ...
class _Site: ...
class _User: ...
class _Dedup: ...

class _Nodes(Sequence[_Node]):
    def __getitem__(self, index: Any) -> Any: ...
    def __len__(self) -> int: ...
    def __add__(self, other: Any) -> list[Any]: ...
    def __radd__(self, other: Any) -> list[Any]: ...

class _JSON:
    def encode(self, x: Any) -> str: ...
    def decode(self, x: str, default: Any = ...) -> Any: ...
    def indent(self, s: str, *, prefix: str = ..., indent: str = ...) -> str: ...

_Length = str | _Duration
_When = str | _Duration | _Instant
_Setting = str | float | bool | _Duration
_Place = _Site | _Node | _Nodes | _Producer | _Consumer | _Member

def load(module: str, *names: str, **renamed: str) -> None: ...
def fail(*args: Any) -> None: ...
def struct(**fields: Any) -> Any: ...

json: _JSON
math: Any

class _FateByPartition:
    def after(self, moment: _When | _Event) -> _FateByPartition:
        """Only what is after a moment; of a handle, after its end."""
    def at(self, when: _When) -> _FateByPartition:
        """The last whole bucket or sample before a moment; of fates, what was due or done by then. It may reach into the warm-up."""
    def at_end(self) -> _FateByPartition:
        """The last sample before run_for; of fates, after the audit."""
    def at_least(self, value: float) -> _Claim:
        """Holds when the one number that the measure comes to is at least value; of a gauge, every sample."""
    def at_most(self, value: float) -> _Claim:
        """Holds when the one number that the measure comes to is at most value; of a gauge, every sample."""
    def before(self, moment: _When | _Event) -> _FateByPartition:
        """Only what is before a moment; of a handle, before its start."""
    def by(self, what: str) -> _FateByPartition:
        """Applies the bound to each partition, key or member, or to all of them as one."""
    def during(self, a: _When | _Event, b: _When | None = None) -> _FateByPartition:
        """Only what is between the start and the end of an event, or between two moments. Two moments may reach into the warm-up."""
    def equals(self, value: float) -> _Claim:
        """Holds when the measure is exactly value; of a gauge, at every sample."""
    def none(self) -> _Claim:
        """The same as equals(0)."""
    def outside(self, handle: _Event) -> _FateByPartition:
        """Only what is not during an event."""


class _FateByPartitionKey:
    def after(self, moment: _When | _Event) -> _FateByPartitionKey:
        """Only what is after a moment; of a handle, after its end."""
    def at(self, when: _When) -> _FateByPartitionKey:
        """The last whole bucket or sample before a moment; of fates, what was due or done by then. It may reach into the warm-up."""
    def at_end(self) -> _FateByPartitionKey:
        """The last sample before run_for; of fates, after the audit."""
    def at_least(self, value: float) -> _Claim:
        """Holds when the one number that the measure comes to is at least value; of a gauge, every sample."""
    def at_most(self, value: float) -> _Claim:
        """Holds when the one number that the measure comes to is at most value; of a gauge, every sample."""
    def before(self, moment: _When | _Event) -> _FateByPartitionKey:
        """Only what is before a moment; of a handle, before its start."""
    def by(self, what: str) -> _FateByPartitionKey:
        """Applies the bound to each partition, key or member, or to all of them as one."""
    def during(self, a: _When | _Event, b: _When | None = None) -> _FateByPartitionKey:
        """Only what is between the start and the end of an event, or between two moments. Two moments may reach into the warm-up."""
    def equals(self, value: float) -> _Claim:
        """Holds when the measure is exactly value; of a gauge, at every sample."""
    def none(self) -> _Claim:
        """The same as equals(0)."""
    def outside(self, handle: _Event) -> _FateByPartitionKey:
        """Only what is not during an event."""


class _Gauge:
    def after(self, moment: _When | _Event) -> _Gauge:
        """Only what is after a moment; of a handle, after its end."""
    def at(self, when: _When) -> _Gauge:
        """The last whole bucket or sample before a moment; of fates, what was due or done by then. It may reach into the warm-up."""
    def at_end(self) -> _Gauge:
        """The last sample before run_for; of fates, after the audit."""
    def at_least(self, value: float) -> _Claim:
        """Holds when the one number that the measure comes to is at least value; of a gauge, every sample."""
    def at_most(self, value: float) -> _Claim:
        """Holds when the one number that the measure comes to is at most value; of a gauge, every sample."""
    def before(self, moment: _When | _Event) -> _Gauge:
        """Only what is before a moment; of a handle, before its start."""
    def during(self, a: _When | _Event, b: _When | None = None) -> _Gauge:
        """Only what is between the start and the end of an event, or between two moments. Two moments may reach into the warm-up."""
    def equals(self, value: float) -> _Claim:
        """Holds when the measure is exactly value; of a gauge, at every sample."""
    def eventually(self, *, at_least: float, within: _Length) -> _Claim:
        """Holds when the measure reaches a value in time."""
    def never_above(self, value: float) -> _Claim:
        """Holds when every bucket, sample and series is at most value."""
    def never_below(self, value: float) -> _Claim:
        """Holds when every bucket, sample and series is at least value."""
    def none(self) -> _Claim:
        """The same as equals(0)."""
    def outside(self, handle: _Event) -> _Gauge:
        """Only what is not during an event."""


class _GaugeByAllMember:
    def after(self, moment: _When | _Event) -> _GaugeByAllMember:
        """Only what is after a moment; of a handle, after its end."""
    def at(self, when: _When) -> _GaugeByAllMember:
        """The last whole bucket or sample before a moment; of fates, what was due or done by then. It may reach into the warm-up."""
    def at_end(self) -> _GaugeByAllMember:
        """The last sample before run_for; of fates, after the audit."""
    def at_least(self, value: float) -> _Claim:
        """Holds when the one number that the measure comes to is at least value; of a gauge, every sample."""
    def at_most(self, value: float) -> _Claim:
        """Holds when the one number that the measure comes to is at most value; of a gauge, every sample."""
    def balanced(self, each: float) -> _Claim:
        """Holds when each series, such as each member, has the same value."""
    def before(self, moment: _When | _Event) -> _GaugeByAllMember:
        """Only what is before a moment; of a handle, before its start."""
    def by(self, what: str) -> _GaugeByAllMember:
        """Applies the bound to each partition, key or member, or to all of them as one."""
    def during(self, a: _When | _Event, b: _When | None = None) -> _GaugeByAllMember:
        """Only what is between the start and the end of an event, or between two moments. Two moments may reach into the warm-up."""
    def equals(self, value: float) -> _Claim:
        """Holds when the measure is exactly value; of a gauge, at every sample."""
    def eventually(self, *, at_least: float, within: _Length) -> _Claim:
        """Holds when the measure reaches a value in time."""
    def never_above(self, value: float) -> _Claim:
        """Holds when every bucket, sample and series is at most value."""
    def never_below(self, value: float) -> _Claim:
        """Holds when every bucket, sample and series is at least value."""
    def none(self) -> _Claim:
        """The same as equals(0)."""
    def outside(self, handle: _Event) -> _GaugeByAllMember:
        """Only what is not during an event."""


class _GaugeByMember:
    def after(self, moment: _When | _Event) -> _GaugeByMember:
        """Only what is after a moment; of a handle, after its end."""
    def at(self, when: _When) -> _GaugeByMember:
        """The last whole bucket or sample before a moment; of fates, what was due or done by then. It may reach into the warm-up."""
    def at_end(self) -> _GaugeByMember:
        """The last sample before run_for; of fates, after the audit."""
    def at_least(self, value: float) -> _Claim:
        """Holds when the one number that the measure comes to is at least value; of a gauge, every sample."""
    def at_most(self, value: float) -> _Claim:
        """Holds when the one number that the measure comes to is at most value; of a gauge, every sample."""
    def balanced(self, each: float) -> _Claim:
        """Holds when each series, such as each member, has the same value."""
    def before(self, moment: _When | _Event) -> _GaugeByMember:
        """Only what is before a moment; of a handle, before its start."""
    def by(self, what: str) -> _GaugeByMember:
        """Applies the bound to each partition, key or member, or to all of them as one."""
    def during(self, a: _When | _Event, b: _When | None = None) -> _GaugeByMember:
        """Only what is between the start and the end of an event, or between two moments. Two moments may reach into the warm-up."""
    def equals(self, value: float) -> _Claim:
        """Holds when the measure is exactly value; of a gauge, at every sample."""
    def eventually(self, *, at_least: float, within: _Length) -> _Claim:
        """Holds when the measure reaches a value in time."""
    def never_above(self, value: float) -> _Claim:
        """Holds when every bucket, sample and series is at most value."""
    def never_below(self, value: float) -> _Claim:
        """Holds when every bucket, sample and series is at least value."""
    def none(self) -> _Claim:
        """The same as equals(0)."""
    def outside(self, handle: _Event) -> _GaugeByMember:
        """Only what is not during an event."""


class _GaugeByPartition:
    def after(self, moment: _When | _Event) -> _GaugeByPartition:
        """Only what is after a moment; of a handle, after its end."""
    def at(self, when: _When) -> _GaugeByPartition:
        """The last whole bucket or sample before a moment; of fates, what was due or done by then. It may reach into the warm-up."""
    def at_end(self) -> _GaugeByPartition:
        """The last sample before run_for; of fates, after the audit."""
    def at_least(self, value: float) -> _Claim:
        """Holds when the one number that the measure comes to is at least value; of a gauge, every sample."""
    def at_most(self, value: float) -> _Claim:
        """Holds when the one number that the measure comes to is at most value; of a gauge, every sample."""
    def balanced(self, each: float) -> _Claim:
        """Holds when each series, such as each member, has the same value."""
    def before(self, moment: _When | _Event) -> _GaugeByPartition:
        """Only what is before a moment; of a handle, before its start."""
    def by(self, what: str) -> _GaugeByPartition:
        """Applies the bound to each partition, key or member, or to all of them as one."""
    def during(self, a: _When | _Event, b: _When | None = None) -> _GaugeByPartition:
        """Only what is between the start and the end of an event, or between two moments. Two moments may reach into the warm-up."""
    def equals(self, value: float) -> _Claim:
        """Holds when the measure is exactly value; of a gauge, at every sample."""
    def eventually(self, *, at_least: float, within: _Length) -> _Claim:
        """Holds when the measure reaches a value in time."""
    def never_above(self, value: float) -> _Claim:
        """Holds when every bucket, sample and series is at most value."""
    def never_below(self, value: float) -> _Claim:
        """Holds when every bucket, sample and series is at least value."""
    def none(self) -> _Claim:
        """The same as equals(0)."""
    def outside(self, handle: _Event) -> _GaugeByPartition:
        """Only what is not during an event."""


class _GaugeOfBytesByAllMember:
    def after(self, moment: _When | _Event) -> _GaugeOfBytesByAllMember:
        """Only what is after a moment; of a handle, after its end."""
    def at(self, when: _When) -> _GaugeOfBytesByAllMember:
        """The last whole bucket or sample before a moment; of fates, what was due or done by then. It may reach into the warm-up."""
    def at_end(self) -> _GaugeOfBytesByAllMember:
        """The last sample before run_for; of fates, after the audit."""
    def at_least(self, value: str | int) -> _Claim:
        """Holds when the one number that the measure comes to is at least value; of a gauge, every sample."""
    def at_most(self, value: str | int) -> _Claim:
        """Holds when the one number that the measure comes to is at most value; of a gauge, every sample."""
    def balanced(self, each: str | int) -> _Claim:
        """Holds when each series, such as each member, has the same value."""
    def before(self, moment: _When | _Event) -> _GaugeOfBytesByAllMember:
        """Only what is before a moment; of a handle, before its start."""
    def by(self, what: str) -> _GaugeOfBytesByAllMember:
        """Applies the bound to each partition, key or member, or to all of them as one."""
    def during(self, a: _When | _Event, b: _When | None = None) -> _GaugeOfBytesByAllMember:
        """Only what is between the start and the end of an event, or between two moments. Two moments may reach into the warm-up."""
    def equals(self, value: str | int) -> _Claim:
        """Holds when the measure is exactly value; of a gauge, at every sample."""
    def eventually(self, *, at_least: str | int, within: _Length) -> _Claim:
        """Holds when the measure reaches a value in time."""
    def never_above(self, value: str | int) -> _Claim:
        """Holds when every bucket, sample and series is at most value."""
    def never_below(self, value: str | int) -> _Claim:
        """Holds when every bucket, sample and series is at least value."""
    def none(self) -> _Claim:
        """The same as equals(0)."""
    def outside(self, handle: _Event) -> _GaugeOfBytesByAllMember:
        """Only what is not during an event."""


class _GaugeOfBytesByPartition:
    def after(self, moment: _When | _Event) -> _GaugeOfBytesByPartition:
        """Only what is after a moment; of a handle, after its end."""
    def at(self, when: _When) -> _GaugeOfBytesByPartition:
        """The last whole bucket or sample before a moment; of fates, what was due or done by then. It may reach into the warm-up."""
    def at_end(self) -> _GaugeOfBytesByPartition:
        """The last sample before run_for; of fates, after the audit."""
    def at_least(self, value: str | int) -> _Claim:
        """Holds when the one number that the measure comes to is at least value; of a gauge, every sample."""
    def at_most(self, value: str | int) -> _Claim:
        """Holds when the one number that the measure comes to is at most value; of a gauge, every sample."""
    def balanced(self, each: str | int) -> _Claim:
        """Holds when each series, such as each member, has the same value."""
    def before(self, moment: _When | _Event) -> _GaugeOfBytesByPartition:
        """Only what is before a moment; of a handle, before its start."""
    def by(self, what: str) -> _GaugeOfBytesByPartition:
        """Applies the bound to each partition, key or member, or to all of them as one."""
    def during(self, a: _When | _Event, b: _When | None = None) -> _GaugeOfBytesByPartition:
        """Only what is between the start and the end of an event, or between two moments. Two moments may reach into the warm-up."""
    def equals(self, value: str | int) -> _Claim:
        """Holds when the measure is exactly value; of a gauge, at every sample."""
    def eventually(self, *, at_least: str | int, within: _Length) -> _Claim:
        """Holds when the measure reaches a value in time."""
    def never_above(self, value: str | int) -> _Claim:
        """Holds when every bucket, sample and series is at most value."""
    def never_below(self, value: str | int) -> _Claim:
        """Holds when every bucket, sample and series is at least value."""
    def none(self) -> _Claim:
        """The same as equals(0)."""
    def outside(self, handle: _Event) -> _GaugeOfBytesByPartition:
        """Only what is not during an event."""


class _LatencyOfTimeByPartition:
    def after(self, moment: _When | _Event) -> _LatencyOfTimeByPartition:
        """Only what is after a moment; of a handle, after its end."""
    def at_least(self, value: _Length) -> _Claim:
        """Holds when the one number that the measure comes to is at least value; of a gauge, every sample."""
    def at_most(self, value: _Length) -> _Claim:
        """Holds when the one number that the measure comes to is at most value; of a gauge, every sample."""
    def before(self, moment: _When | _Event) -> _LatencyOfTimeByPartition:
        """Only what is before a moment; of a handle, before its start."""
    def by(self, what: str) -> _LatencyOfTimeByPartition:
        """Applies the bound to each partition, key or member, or to all of them as one."""
    def during(self, a: _When | _Event, b: _When | None = None) -> _LatencyOfTimeByPartition:
        """Only what is between the start and the end of an event, or between two moments. Two moments may reach into the warm-up."""
    @property
    def max(self) -> _LatencyOfTimeByPartition:
        """The longest."""
    def never_above(self, value: _Length) -> _Claim:
        """Holds when every bucket, sample and series is at most value."""
    def never_below(self, value: _Length) -> _Claim:
        """Holds when every bucket, sample and series is at least value."""
    def outside(self, handle: _Event) -> _LatencyOfTimeByPartition:
        """Only what is not during an event."""
    @property
    def p50(self) -> _LatencyOfTimeByPartition:
        """The median."""
    @property
    def p90(self) -> _LatencyOfTimeByPartition:
        """What 90 % stay within."""
    @property
    def p99(self) -> _LatencyOfTimeByPartition:
        """What 99 % stay within."""
    @property
    def p999(self) -> _LatencyOfTimeByPartition:
        """What 99.9 % stay within."""
    def per(self, bucket: _Length) -> _LatencyOfTimeByPartition:
        """Counts in longer buckets than a second."""


class _Number:
    def after(self, moment: _When | _Event) -> _Number:
        """Only what is after a moment; of a handle, after its end."""
    def at_least(self, value: float) -> _Claim:
        """Holds when the one number that the measure comes to is at least value; of a gauge, every sample."""
    def at_most(self, value: float) -> _Claim:
        """Holds when the one number that the measure comes to is at most value; of a gauge, every sample."""
    def before(self, moment: _When | _Event) -> _Number:
        """Only what is before a moment; of a handle, before its start."""
    def during(self, a: _When | _Event, b: _When | None = None) -> _Number:
        """Only what is between the start and the end of an event, or between two moments. Two moments may reach into the warm-up."""
    def equals(self, value: float) -> _Claim:
        """Holds when the measure is exactly value; of a gauge, at every sample."""
    def none(self) -> _Claim:
        """The same as equals(0)."""
    def outside(self, handle: _Event) -> _Number:
        """Only what is not during an event."""


class _NumberOfEvent:
    def at_least(self, value: float) -> _Claim:
        """Holds when the one number that the measure comes to is at least value; of a gauge, every sample."""
    def at_most(self, value: float) -> _Claim:
        """Holds when the one number that the measure comes to is at most value; of a gauge, every sample."""
    def equals(self, value: float) -> _Claim:
        """Holds when the measure is exactly value; of a gauge, at every sample."""
    def none(self) -> _Claim:
        """The same as equals(0)."""


class _NumberOfTime:
    def after(self, moment: _When | _Event) -> _NumberOfTime:
        """Only what is after a moment; of a handle, after its end."""
    def at_least(self, value: _Length) -> _Claim:
        """Holds when the one number that the measure comes to is at least value; of a gauge, every sample."""
    def at_most(self, value: _Length) -> _Claim:
        """Holds when the one number that the measure comes to is at most value; of a gauge, every sample."""
    def before(self, moment: _When | _Event) -> _NumberOfTime:
        """Only what is before a moment; of a handle, before its start."""
    def during(self, a: _When | _Event, b: _When | None = None) -> _NumberOfTime:
        """Only what is between the start and the end of an event, or between two moments. Two moments may reach into the warm-up."""
    def equals(self, value: _Length) -> _Claim:
        """Holds when the measure is exactly value; of a gauge, at every sample."""
    def none(self) -> _Claim:
        """The same as equals(0)."""
    def outside(self, handle: _Event) -> _NumberOfTime:
        """Only what is not during an event."""


class _NumberOfTimeOfEvent:
    def at_least(self, value: _Length) -> _Claim:
        """Holds when the one number that the measure comes to is at least value; of a gauge, every sample."""
    def at_most(self, value: _Length) -> _Claim:
        """Holds when the one number that the measure comes to is at most value; of a gauge, every sample."""
    def equals(self, value: _Length) -> _Claim:
        """Holds when the measure is exactly value; of a gauge, at every sample."""
    def none(self) -> _Claim:
        """The same as equals(0)."""


class _NumberOfTruth:
    def equals(self, value: bool) -> _Claim:
        """Holds when the measure is exactly value; of a gauge, at every sample."""


class _RateByAllMember:
    def after(self, moment: _When | _Event) -> _RateByAllMember:
        """Only what is after a moment; of a handle, after its end."""
    def at(self, when: _When) -> _RateByAllMember:
        """The last whole bucket or sample before a moment; of fates, what was due or done by then. It may reach into the warm-up."""
    def at_least(self, value: float) -> _Claim:
        """Holds when the one number that the measure comes to is at least value; of a gauge, every sample."""
    def at_most(self, value: float) -> _Claim:
        """Holds when the one number that the measure comes to is at most value; of a gauge, every sample."""
    def balanced(self, each: float) -> _Claim:
        """Holds when each series, such as each member, has the same value."""
    def before(self, moment: _When | _Event) -> _RateByAllMember:
        """Only what is before a moment; of a handle, before its start."""
    def by(self, what: str) -> _RateByAllMember:
        """Applies the bound to each partition, key or member, or to all of them as one."""
    def during(self, a: _When | _Event, b: _When | None = None) -> _RateByAllMember:
        """Only what is between the start and the end of an event, or between two moments. Two moments may reach into the warm-up."""
    def equals(self, value: float) -> _Claim:
        """Holds when the measure is exactly value; of a gauge, at every sample."""
    def eventually(self, *, at_least: float, within: _Length) -> _Claim:
        """Holds when the measure reaches a value in time."""
    def never_above(self, value: float) -> _Claim:
        """Holds when every bucket, sample and series is at most value."""
    def never_below(self, value: float) -> _Claim:
        """Holds when every bucket, sample and series is at least value."""
    def none(self) -> _Claim:
        """The same as equals(0)."""
    def outside(self, handle: _Event) -> _RateByAllMember:
        """Only what is not during an event."""
    def per(self, bucket: _Length) -> _RateByAllMember:
        """Counts in longer buckets than a second."""


class _RateByAllMemberPartition:
    def after(self, moment: _When | _Event) -> _RateByAllMemberPartition:
        """Only what is after a moment; of a handle, after its end."""
    def at(self, when: _When) -> _RateByAllMemberPartition:
        """The last whole bucket or sample before a moment; of fates, what was due or done by then. It may reach into the warm-up."""
    def at_least(self, value: float) -> _Claim:
        """Holds when the one number that the measure comes to is at least value; of a gauge, every sample."""
    def at_most(self, value: float) -> _Claim:
        """Holds when the one number that the measure comes to is at most value; of a gauge, every sample."""
    def balanced(self, each: float) -> _Claim:
        """Holds when each series, such as each member, has the same value."""
    def before(self, moment: _When | _Event) -> _RateByAllMemberPartition:
        """Only what is before a moment; of a handle, before its start."""
    def by(self, what: str) -> _RateByAllMemberPartition:
        """Applies the bound to each partition, key or member, or to all of them as one."""
    def during(self, a: _When | _Event, b: _When | None = None) -> _RateByAllMemberPartition:
        """Only what is between the start and the end of an event, or between two moments. Two moments may reach into the warm-up."""
    def equals(self, value: float) -> _Claim:
        """Holds when the measure is exactly value; of a gauge, at every sample."""
    def eventually(self, *, at_least: float, within: _Length) -> _Claim:
        """Holds when the measure reaches a value in time."""
    def never_above(self, value: float) -> _Claim:
        """Holds when every bucket, sample and series is at most value."""
    def never_below(self, value: float) -> _Claim:
        """Holds when every bucket, sample and series is at least value."""
    def none(self) -> _Claim:
        """The same as equals(0)."""
    def outside(self, handle: _Event) -> _RateByAllMemberPartition:
        """Only what is not during an event."""
    def per(self, bucket: _Length) -> _RateByAllMemberPartition:
        """Counts in longer buckets than a second."""


class _StallOfTimeByPartition:
    def after(self, moment: _When | _Event) -> _StallOfTimeByPartition:
        """Only what is after a moment; of a handle, after its end."""
    def at_least(self, value: _Length) -> _Claim:
        """Holds when the one number that the measure comes to is at least value; of a gauge, every sample."""
    def at_most(self, value: _Length) -> _Claim:
        """Holds when the one number that the measure comes to is at most value; of a gauge, every sample."""
    def before(self, moment: _When | _Event) -> _StallOfTimeByPartition:
        """Only what is before a moment; of a handle, before its start."""
    def by(self, what: str) -> _StallOfTimeByPartition:
        """Applies the bound to each partition, key or member, or to all of them as one."""
    def during(self, a: _When | _Event, b: _When | None = None) -> _StallOfTimeByPartition:
        """Only what is between the start and the end of an event, or between two moments. Two moments may reach into the warm-up."""
    def none(self) -> _Claim:
        """The same as equals(0)."""
    def outside(self, handle: _Event) -> _StallOfTimeByPartition:
        """Only what is not during an event."""


class _Alarm:
    @property
    def lasted(self) -> _NumberOfTime:
        """How long the alarm was raised, in all. Unit: duration. Windows: before, after, during, outside. Bounds: at_least, at_most, equals, none."""
    @property
    def raised(self) -> _Number:
        """How often the alarm was raised. Unit: count. Windows: before, after, during, outside. Bounds: at_least, at_most, equals, none."""
    @property
    def raised_at(self) -> _NumberOfTime:
        """When the alarm was first raised, after the start of load. Unit: duration. Windows: before, after, during, outside. Bounds: at_least, at_most, equals, none."""

class _Cluster:
    @property
    def active_controllers(self) -> _Gauge:
        """Nodes that consider themselves the active controller; anything but 1 is wrong. Unit: count. Windows: before, after, during, outside, at, at_end. Bounds: never_below, never_above, at_least, at_most, equals, none, eventually."""
    @property
    def alive(self) -> _Gauge:
        """Brokers that are registered and not fenced. Unit: count. Windows: before, after, during, outside, at, at_end. Bounds: never_below, never_above, at_least, at_most, equals, none, eventually."""
    def any_broker(self) -> _Node:
        """A broker chosen by the seed among those alive when the event fires."""
    def broker(self, id: int) -> _Node:
        """One broker."""
    @property
    def brokers(self) -> _Nodes:
        """All brokers. As of a list, there are its length, elements, slices and sums with lists; the first has the id 1."""
    def controller(self) -> _Node:
        """The node that is the active controller when the event fires."""
    @property
    def controller_changes(self) -> _Number:
        """How often another node became the active controller. Unit: count. Windows: before, after, during, outside. Bounds: at_least, at_most, equals, none."""
    def controller_node(self, number: int) -> _Node:
        """One separate controller, of a cluster that has controllers = 3."""
    @property
    def cpu(self) -> _GaugeByAllMember:
        """Processor time that the brokers use; 1 is one core. Unit: share. Windows: before, after, during, outside, at, at_end. Bounds: never_below, never_above, at_least, at_most, equals, none, balanced, eventually. By: all, member (the first if not said)."""
    @property
    def memory(self) -> _GaugeOfBytesByAllMember:
        """Memory that the brokers hold. Unit: size. Windows: before, after, during, outside, at, at_end. Bounds: never_below, never_above, at_least, at_most, equals, none, balanced, eventually. By: all, member (the first if not said)."""
    @property
    def offline(self) -> _Gauge:
        """Partitions without a leader. Unit: count. Windows: before, after, during, outside, at, at_end. Bounds: never_below, never_above, at_least, at_most, equals, none, eventually."""
    @property
    def under_min_insync(self) -> _Gauge:
        """Partitions with fewer in-sync replicas than min.insync.replicas. Unit: count. Windows: before, after, during, outside, at, at_end. Bounds: never_below, never_above, at_least, at_most, equals, none, eventually."""
    @property
    def under_replicated(self) -> _Gauge:
        """Partitions with fewer in-sync replicas than replicas. Unit: count. Windows: before, after, during, outside, at, at_end. Bounds: never_below, never_above, at_least, at_most, equals, none, eventually."""
    def zookeeper(self, number: int) -> _Node:
        """One ZooKeeper node, of a cluster that has zookeeper = 3."""

class _Consumer:
    @property
    def assignment(self) -> _GaugeByMember:
        """Partitions that a member owns. Unit: count. Windows: before, after, during, outside, at, at_end. Bounds: never_below, never_above, at_least, at_most, equals, none, balanced, eventually. By: member (the first if not said)."""
    def coordinator(self) -> _Node:
        """The broker that coordinates the group when the event fires."""
    @property
    def delay(self) -> _LatencyOfTimeByPartition:
        """From the moment a record was due to its delivery. Unit: duration. Windows: before, after, during, outside. Buckets: a second, or per. Statistics: p50, p90, p99, p999, max (the longest if not said). Bounds: never_below, never_above, at_least, at_most. By: all, partition (the first if not said)."""
    @property
    def denied(self) -> _Number:
        """Answers of brokers that refused the group or its fetches for want of rights. Unit: count. Windows: before, after, during, outside. Bounds: at_least, at_most, equals, none."""
    @property
    def dropped(self) -> _FateByPartition:
        """Deliveries that dedup recognised, rightly or wrongly, and did not process; wrongly dropped records are missing. Unit: count. Windows: before, after, during, outside, at, at_end. Bounds: at_least, at_most, equals, none. By: all, partition (the first if not said)."""
    @property
    def duplicates(self) -> _FateByPartition:
        """Deliveries of a record beyond the first under this group. Unit: count. Windows: before, after, during, outside, at, at_end. Bounds: at_least, at_most, equals, none. By: all, partition (the first if not said)."""
    @property
    def idle_members(self) -> _Gauge:
        """Members that own no partition. Unit: count. Windows: before, after, during, outside, at, at_end. Bounds: never_below, never_above, at_least, at_most, equals, none, eventually."""
    @property
    def lag(self) -> _GaugeByPartition:
        """Records between the group's position and the end of the log. Unit: count. Windows: before, after, during, outside, at, at_end. Bounds: never_below, never_above, at_least, at_most, equals, none, balanced, eventually. By: all, partition (the first if not said)."""
    @property
    def lost(self) -> _FateByPartition:
        """Acknowledged records that are in no log at the audit, whether or not they were delivered before. Unit: count. Windows: before, after, during, outside, at, at_end. Bounds: at_least, at_most, equals, none. By: all, partition (the first if not said)."""
    def member(self, number: int) -> _Member:
        """One client of the group."""
    @property
    def members(self) -> _Gauge:
        """Members that belong to the group's present generation. Unit: count. Windows: before, after, during, outside, at, at_end. Bounds: never_below, never_above, at_least, at_most, equals, none, eventually."""
    @property
    def missing(self) -> _FateByPartition:
        """Acknowledged records that were not delivered to this group by the end of the drain. Unit: count. Windows: before, after, during, outside, at, at_end. Bounds: at_least, at_most, equals, none. By: all, partition (the first if not said)."""
    @property
    def out_of_order(self) -> _FateByPartitionKey:
        """First deliveries of a record after a later one of the same producer member and partition, or key. Unit: count. Windows: before, after, during, outside, at, at_end. Bounds: at_least, at_most, equals, none. By: partition, key (the first if not said)."""
    @property
    def pending(self) -> _FateByPartition:
        """Missing records that lie past the group's position when the drain ended. Unit: count. Windows: before, after, during, outside, at, at_end. Bounds: at_least, at_most, equals, none. By: all, partition (the first if not said)."""
    @property
    def phantoms(self) -> _FateByPartition:
        """Delivered records that were never sent, or that definitely failed. Unit: count. Windows: before, after, during, outside, at, at_end. Bounds: at_least, at_most, equals, none. By: all, partition (the first if not said)."""
    @property
    def rate(self) -> _RateByAllMemberPartition:
        """Records delivered and processed per second. Unit: records per second. Windows: before, after, during, outside, at. Buckets: a second, or per. Bounds: never_below, never_above, at_least, at_most, equals, none, balanced, eventually. By: all, member, partition (the first if not said)."""
    @property
    def rebalances(self) -> _Number:
        """How often the group began a new generation after its first. Unit: count. Windows: before, after, during, outside. Bounds: at_least, at_most, equals, none."""
    @property
    def stall(self) -> _StallOfTimeByPartition:
        """Longest time without a delivery from a partition while its log held undelivered records. Unit: duration. Windows: before, after, during, outside. Bounds: at_least, at_most, none. By: partition, all (the first if not said)."""
    @property
    def state_size(self) -> _GaugeOfBytesByAllMember:
        """Memory in which dedup remembers what it has had. Unit: size. Windows: before, after, during, outside, at, at_end. Bounds: never_below, never_above, at_least, at_most, equals, none, balanced, eventually. By: all, member (the first if not said)."""
    @property
    def undelivered(self) -> _FateByPartition:
        """Missing records that are in the log but were skipped by the group. Unit: count. Windows: before, after, during, outside, at, at_end. Bounds: at_least, at_most, equals, none. By: all, partition (the first if not said)."""

class _Event:
    @property
    def end(self) -> _When:
        """The moment at which the undo is proved; for what ends by itself, when its effect is complete; for what is never undone, run_for. A duration may be added or taken away."""
    @property
    def exit_code(self) -> _NumberOfEvent:
        """Exit code of its tool, the highest of several; 0 is success. Unit: count. Bounds: at_least, at_most, equals, none."""
    @property
    def recovered(self) -> _NumberOfTimeOfEvent:
        """From its start until the acknowledged rate was back at 90 % of before, for 5 s. Unit: duration. Bounds: at_least, at_most, equals, none."""
    @property
    def start(self) -> _When:
        """The moment at which the first effect is proved. A duration may be added or taken away."""
    @property
    def took(self) -> _NumberOfTimeOfEvent:
        """From the moment it fired until its effect was proved. Unit: duration. Bounds: at_least, at_most, equals, none."""

class _Mirror:
    @property
    def delay(self) -> _LatencyOfTimeByPartition:
        """From the moment a record was due at the source to its arrival in the copy. Unit: duration. Windows: before, after, during, outside. Buckets: a second, or per. Statistics: p50, p90, p99, p999, max (the longest if not said). Bounds: never_below, never_above, at_least, at_most. By: all, partition (the first if not said)."""
    def identical(self, aspect: Literal["records", "order", "partitions", "offsets", "config", "groups"] | str) -> _NumberOfTruth:
        """Whether the copy is like the source in one respect, compared field by field at the end: records, order, partitions, offsets, config or groups. Unit: truth. Bounds: equals."""
    @property
    def missing(self) -> _FateByPartition:
        """Acknowledged records of the source that are not in the copy at the audit. Unit: count. Windows: before, after, during, outside, at, at_end. Bounds: at_least, at_most, equals, none. By: all, partition (the first if not said)."""

class _Producer:
    @property
    def denied(self) -> _FateByPartition:
        """Records that were not written for want of rights. Unit: count. Windows: before, after, during, outside, at, at_end. Bounds: at_least, at_most, equals, none. By: all, partition (the first if not said)."""
    @property
    def failed(self) -> _FateByPartition:
        """Records that were definitely not written. Unit: count. Windows: before, after, during, outside, at, at_end. Bounds: at_least, at_most, equals, none. By: all, partition (the first if not said)."""
    @property
    def late(self) -> _Number:
        """Share of records offered more than 100 ms of real time after they were due, for want of machine. Unit: share. Windows: before, after, during, outside. Bounds: at_least, at_most, equals, none."""
    @property
    def latency(self) -> _LatencyOfTimeByPartition:
        """From the moment a record was due to its acknowledgement. Unit: duration. Windows: before, after, during, outside. Buckets: a second, or per. Statistics: p50, p90, p99, p999, max (the longest if not said). Bounds: never_below, never_above, at_least, at_most. By: all, partition (the first if not said)."""
    def member(self, number: int) -> _Member:
        """One client of the producer."""
    @property
    def rate(self) -> _RateByAllMemberPartition:
        """Records acknowledged per second. Unit: records per second. Windows: before, after, during, outside, at. Buckets: a second, or per. Bounds: never_below, never_above, at_least, at_most, equals, none, balanced, eventually. By: all, member, partition (the first if not said)."""
    @property
    def sending(self) -> _RateByAllMember:
        """Records accepted by the client per second; it falls when the client's buffer is full. Unit: records per second. Windows: before, after, during, outside, at. Buckets: a second, or per. Bounds: never_below, never_above, at_least, at_most, equals, none, balanced, eventually. By: all, member (the first if not said)."""
    @property
    def stall(self) -> _StallOfTimeByPartition:
        """Longest gap between acknowledgements of a partition while records were due for it. Unit: duration. Windows: before, after, during, outside. Bounds: at_least, at_most, none. By: partition, all (the first if not said)."""
    @property
    def unknown(self) -> _FateByPartition:
        """Records of which nobody knows whether they were written. Unit: count. Windows: before, after, during, outside, at, at_end. Bounds: at_least, at_most, equals, none. By: all, partition (the first if not said)."""

class _Topic:
    @property
    def duplicates(self) -> _FateByPartition:
        """Copies of a record in the log beyond the first. Unit: count. Windows: before, after, during, outside, at, at_end. Bounds: at_least, at_most, equals, none. By: all, partition (the first if not said)."""
    def follower(self, partition: int = 0) -> _Node:
        """The first in-sync follower of a partition when the event fires."""
    @property
    def in_sync(self) -> _GaugeByPartition:
        """Smallest in-sync set of its partitions. Unit: count. Windows: before, after, during, outside, at, at_end. Bounds: never_below, never_above, at_least, at_most, equals, none, balanced, eventually. By: all, partition (the first if not said)."""
    def leader(self, partition: int = 0) -> _Node:
        """The broker that leads a partition when the event fires."""
    @property
    def leader_changes(self) -> _Number:
        """How often a partition got another leader. Unit: count. Windows: before, after, during, outside. Bounds: at_least, at_most, equals, none."""
    @property
    def lost(self) -> _FateByPartition:
        """Acknowledged records that are not in the log at the audit. Unit: count. Windows: before, after, during, outside, at, at_end. Bounds: at_least, at_most, equals, none. By: all, partition (the first if not said)."""
    @property
    def offline(self) -> _Gauge:
        """Its partitions without a leader. Unit: count. Windows: before, after, during, outside, at, at_end. Bounds: never_below, never_above, at_least, at_most, equals, none, eventually."""
    @property
    def out_of_order(self) -> _FateByPartitionKey:
        """Records in the log behind a later one of the same producer member and partition, or key. Unit: count. Windows: before, after, during, outside, at, at_end. Bounds: at_least, at_most, equals, none. By: partition, key (the first if not said)."""
    @property
    def partitions(self) -> _Gauge:
        """Number of partitions. Unit: count. Windows: before, after, during, outside, at, at_end. Bounds: never_below, never_above, at_least, at_most, equals, none, eventually."""
    def replicas(self, partition: int = 0) -> _Nodes:
        """All brokers that hold a replica of a partition when the event fires."""
    @property
    def size(self) -> _GaugeOfBytesByPartition:
        """Bytes in its leaders' logs. Unit: size. Windows: before, after, during, outside, at, at_end. Bounds: never_below, never_above, at_least, at_most, equals, none, balanced, eventually. By: all, partition (the first if not said)."""
    @property
    def unclean_elections(self) -> _Number:
        """Leaders elected from outside the in-sync set. Unit: count. Windows: before, after, during, outside. Bounds: at_least, at_most, equals, none."""

KB: int
"""1024 bytes: 4 * KB."""
MB: int
"""1024 KB: 32 * MB."""
def alarm(claim: _Claim, *, lasting: _Length = "1s", log: str = "", name: str | None = None) -> _Alarm:
    """Declares an alarm. It is armed after the warm-up; each raise is logged and on the timeline."""
def allow(user: _User, operation: Literal["Read", "Write", "Create", "Delete", "Alter", "Describe", "ClusterAction", "DescribeConfigs", "AlterConfigs", "IdempotentWrite", "All"] | str, resource: _Topic | _Consumer | _Cluster | str, *, host: str = "*") -> _Action:
    """Gives a user a right (an ACL with permission type ALLOW). At 0s it holds before the clients start."""
def assume(claim: _Claim, *, why: str = "") -> None:
    """A claim that guards the experiment: broken, the verdict is INCONCLUSIVE."""
def at(when: _When, *actions: _Action, name: str | None = None) -> _Event:
    """Does something once. Its handle can be used as a window."""
def both(*claims: _Claim) -> _Claim:
    """Holds where every one of its claims holds."""
def cluster(*, brokers: int = 1, controllers: int = 0, zookeeper: int = 0, version: str | None = None, site: _Site | None = None, spread: Sequence[_Site] | None = None, racks: Sequence[str] | None = None, config: Mapping[str, _Setting] | None = None, broker_config: Mapping[int, Mapping[str, _Setting]] | None = None, auth: Literal["plain", "scram-sha-256", "scram-sha-512"] | str | None = None, image: str | None = None, name: str | None = None) -> _Cluster:
    """Declares a Kafka cluster: in KRaft mode, or with zookeeper in ZooKeeper mode."""
def configure(target: _Topic | _Cluster | _Node | _Nodes | Sequence[_Node], config: Mapping[str, _Setting], *, revert_after: _Length | None = None) -> _Action:
    """Changes topic or broker settings while they run."""
def consumer(topic: _Topic | Sequence[_Topic], *, group: str, members: int = 1, start: Literal["earliest", "latest"] | str = "earliest", commit: Literal["after", "before", "auto", "none"] | str = "after", commit_every: _Length = "1s", isolation: Literal["read_uncommitted", "read_committed"] | str = "read_uncommitted", assignor: Literal["range", "roundrobin", "sticky", "cooperative-sticky"] | str = "range", work: _Length = "0s", dedup: _Dedup | None = None, session_timeout: _Length = "45s", site: _Site | None = None, user: _User | None = None, config: Mapping[str, _Setting] | None = None, name: str | None = None) -> _Consumer:
    """Declares a consumer group."""
def crash(member: _Member | Sequence[_Member], *, restart_after: _Length | None = None) -> _Action:
    """Ends a client without goodbye. Undone by restart_after."""
def delete(topic: _Topic) -> _Action:
    """Deletes a topic with all its records, as kafka-topics --delete does. What is deleted so is not lost."""
def delete_records(topic: _Topic, *, before: int | Literal["latest"] | str | Mapping[int, int]) -> _Action:
    """Deletes the records before an offset, as kafka-delete-records does. What is deleted so is not lost."""
def deny(user: _User, operation: Literal["Read", "Write", "Create", "Delete", "Alter", "Describe", "ClusterAction", "DescribeConfigs", "AlterConfigs", "IdempotentWrite", "All"] | str, resource: _Topic | _Consumer | _Cluster | str, *, host: str = "*") -> _Action:
    """Denies a user a right (an ACL with permission type DENY). It beats every allow, at once, on connections that stand. At 0s it holds before the clients start."""
def either(*claims: _Claim) -> _Claim:
    """Holds where at least one of its claims holds."""
def elect(topic: _Topic, *, kind: Literal["preferred", "unclean"] | str = "preferred", partition: int | None = None) -> _Action:
    """Holds a leader election."""
def every(interval: _Length, *actions: _Action, first: _When | None = None, until: _Length | None = None, name: str | None = None) -> _Event:
    """Does something again and again."""
def expect(claim: _Claim, *, id: str | None = None, points: int = 0, hint: str = "", why: str = "") -> None:
    """A claim that is judged: broken, the verdict is FAIL."""
def fail_back(*clients: _Producer | _Consumer) -> _Action:
    """Points clients back at their own cluster and topic. Consumers first read to the end what they read now."""
def fail_over(*clients: _Producer | _Consumer, to: _Mirror) -> _Action:
    """Points clients at a mirror's cluster. Producers write the topic of the same name there, which is made like the source; consumers read that and the mirrored one, from their group's positions there. What is not acknowledged is sent again. A record is lost then when it is in neither log. Undone by fail_back."""
def heal(handle: _Event) -> _Action:
    """Undoes a netsplit, slow, lose or throttle by its event's handle."""
def heal_all() -> _Action:
    """Undoes everything that was done to paths."""
def high_water(per: Literal["partition", "topic", "producer"] | str = "partition") -> _Dedup:
    """For dedup: each member keeps the highest sequence number that it has had and drops what is not beyond it. A record's sequence number is the count of the producer member that sent it, so one mark for several members drops good records."""
def id_set() -> _Dedup:
    """For dedup: each member keeps the identity of every record that it has had, in a B-tree, and drops what is in it."""
def kill(node: _Node | _Nodes | Sequence[_Node], *, restart_after: _Length | None = None) -> _Action:
    """Ends the process as SIGKILL does. Host and addresses stay, so peers see resets at once. Undone by start or restart_after."""
def link(a: _Site, b: _Site, *, latency: _Length = "0s", jitter: _Length = "0s", loss: float = 0, bandwidth: str | float | None = None) -> None:
    """Sets the base condition of the path between two sites, the same each way."""
def lose(a: _Place | Sequence[_Place], b: _Place | Sequence[_Place], loss: float, *, heal_after: _Length | None = None) -> _Action:
    """Loses packets on the path between two places. Undone by heal or heal_after."""
minute: _Length
"""A minute: 2 * minute."""
def mirror(topic: _Topic | Sequence[_Topic], *, to: _Cluster, site: _Site | None = None, rename: Literal["{cluster}.{topic}", "{topic}"] | str = "{cluster}.{topic}", sync_offsets_every: _Length | None = None, name: str | None = None) -> _Mirror:
    """Copies topics to another cluster, asynchronously: MirrorMaker 2 on Docker, a copier of the same rules on the embedded engine. It makes the copies itself and adds partitions when the source grows; a copy has its own offsets."""
def move(topic: _Topic, placement: Mapping[int, Sequence[int]] | None = None, *, off: _Node | None = None, throttle: str | float | None = None) -> _Action:
    """Reassigns partitions to other brokers: by placement, or off one broker."""
ms: _Length
"""A millisecond: 250 * ms."""
def netsplit(*groups: _Place | Sequence[_Place], one_way: bool = False, heal_after: _Length | None = None) -> _Action:
    """No packet passes between the named places. Undone by heal or heal_after."""
def no(claim: _Claim) -> _Claim:
    """Holds where the claim is broken."""
def note(text: str) -> _Action:
    """Puts a line on the timeline."""
def param(name: str, default: _T, *, help: str = "", choices: Sequence[_T] | None = None) -> _T:
    """Declares a parameter and returns its value. --set name=value overrides it, --sweep name=a,b,c runs the scenario for each."""
def pause(node: _Node | _Nodes | Sequence[_Node], *, resume_after: _Length | None = None) -> _Action:
    """Freezes the process as SIGSTOP does. Undone by resume or resume_after."""
def power_off(node: _Node | _Nodes | Sequence[_Node], *, restart_after: _Length | None = None) -> _Action:
    """The host vanishes: no resets, packets go nowhere, and what was not yet on disk is lost where the engine can show it. Undone by start or restart_after."""
def producer(topic: _Topic, *, rate: float | Literal["max"] | str = 100, members: int = 1, acks: Literal["all", "1", "0", 1, 0] | str | int = "all", idempotent: bool = False, transaction: int | None = None, keys: int | None = None, size: str | int = "100B", partitioner: Literal["round_robin", "hash", "random", "available"] | str = "round_robin", owns: bool = False, timeout: _Length = "2m", buffer: str | int = "32MB", compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] | str | None = None, site: _Site | None = None, user: _User | None = None, config: Mapping[str, _Setting] | None = None, name: str | None = None) -> _Producer:
    """Declares load on a topic. Records are due on a schedule, whatever the cluster does; lateness is recorded. A restarted member sends again what was not acknowledged."""
def replay(topic: _Topic, *, to: _Topic, since: _Length = "0s", until: _Length | None = None) -> _Action:
    """Reads the records of a time and produces them again, with the same key, value and headers, to the partition of the same number."""
def report(measure: Any) -> None:
    """Tabulates a measure without judging it."""
def reroute(*clients: _Producer | _Consumer, via: _Site, restore_after: _Length | None = None) -> _Action:
    """Sends the traffic of clients through a relay in a site: they connect anew, and what lies between client and site and between site and brokers holds for them. Undone by restore_after."""
def reset_offsets(consumer: _Consumer, *, to: Literal["earliest", "latest"] | str | Mapping[int, int]) -> _Action:
    """Moves the committed offsets of a group that is stopped."""
def resize(topic: _Topic, partitions: int) -> _Action:
    """Adds partitions to a topic."""
def restart(node: _Node | _Nodes | Sequence[_Node], down_for: _Length) -> _Action:
    """Stops a node in order, waits and starts it again."""
def resume(node: _Node | _Nodes | Sequence[_Node] | _Event) -> _Action:
    """Lets a paused process go on."""
def revoke(user: _User, operation: Literal["Read", "Write", "Create", "Delete", "Alter", "Describe", "ClusterAction", "DescribeConfigs", "AlterConfigs", "IdempotentWrite", "All"] | str, resource: _Topic | _Consumer | _Cluster | str, *, host: str = "*") -> _Action:
    """Takes an allow and a deny of a user away."""
def rule(claim: _Claim, *, why: str = "") -> None:
    """A claim that guards against cheating: broken, the run is VOID."""
def scale(client: _Producer | _Consumer, members: int) -> _Action:
    """Gives a producer or group more or fewer members."""
def scenario(*, run_for: _Length, warmup: _Length = "5s", drain: _Length = "60s", seed: int = 1) -> None:
    """Sets the lengths of the run. Said once; run_for starts when load starts."""
second: _Length
"""A second: 30 * second."""
def send(topic: _Topic, text: str, *, key: str = "") -> _Action:
    """Sends one record by hand."""
def set_rate(producer: _Producer, rate: float) -> _Action:
    """Changes a producer's load."""
def site(*, name: str | None = None) -> _Site:
    """Declares a place: data centre, country, office. Brokers and clients stand in sites; where nothing is said, all stand in one."""
def slow(a: _Place | Sequence[_Place], b: _Place | Sequence[_Place], latency: _Length, *, jitter: _Length = "0s", heal_after: _Length | None = None) -> _Action:
    """Adds latency to the path between two places. Undone by heal or heal_after."""
def start(node: _Node | _Nodes | Sequence[_Node] | _Event) -> _Action:
    """Starts what kill, stop or power_off took down."""
def stop(node: _Node | _Nodes | Sequence[_Node], *, restart_after: _Length | None = None) -> _Action:
    """Shuts the process down in order, as SIGTERM does. Undone by start or restart_after."""
def throttle(a: _Place | Sequence[_Place], b: _Place | Sequence[_Place], bandwidth: str | float, *, heal_after: _Length | None = None) -> _Action:
    """Limits the bandwidth of the path between two places. Undone by heal or heal_after."""
def tool(name: str, *args: str | float | _Topic | _Consumer, on: _Cluster | None = None) -> _Action:
    """Runs one of Kafka's own tools inside the cluster, on the Docker engine. Its output is kept in the run; its exit code is a result that exit_code claims something of."""
def topic(cluster: _Cluster, *, partitions: int = 1, replicas: int = 1, min_insync: int = 1, config: Mapping[str, _Setting] | None = None, placement: Mapping[int, Sequence[int]] | None = None, name: str | None = None) -> _Topic:
    """Declares a topic, made before load starts."""
def user(cluster: _Cluster, *, password: str = "secret", produces: _Topic | Sequence[_Topic] | None = None, consumes: _Topic | Sequence[_Topic] | None = None, name: str | None = None) -> _User:
    """Declares a principal. A cluster that has users knows everybody by name and denies by default, so each of its clients names a user; who may do what is said here and by allow. Mirrors and the run itself act as a super user."""
def when(claim: _Claim, *actions: _Action, within: _Length, name: str | None = None) -> _Event:
    """Does something once, the first time a claim holds on the last whole bucket or sample."""
