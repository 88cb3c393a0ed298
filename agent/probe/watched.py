"""The system calls that are told at the moment: one program, on the exit tracepoints that somebody wants."""

from __future__ import annotations

import os
import struct
import threading
import time
from collections.abc import Mapping, Set

from agent.probe import attach, syscalls
from agent.probe.bpfmap import Map
from agent.probe.syscalls import Call, Outcomes

_SUCCESS, _FAILURE, _READS, _TCP, _CONNECTED, _LOCAL, _ENVIRONMENT, _INTERNET = (1 << bit for bit in range(8))


class Watched:
    """Owns the map of specs and what holds the program in place; the program's descriptor is lent.

    ``tracepoints``: their numbers by name. ``reason``: why there is no program, if there is none. Leaving a tracepoint
    makes the kernel wait for its readers, some 70 ms each, so a thread does that. The tracepoints of openings have
    another program for good, which reads the specs, too (bpf/openings.c).
    """

    def __init__(self, program: int | None, specs: Map, tracepoints: Mapping[str, int], reason: str) -> None:
        self._program = program
        self._specs = specs
        self._tracepoints = tracepoints
        self._reason = reason
        self._attached: dict[int, int] = {}  # number of the system call -> what holds the program there
        self._leaving: dict[int, int] = {}
        self._lock = threading.Lock()  # over what is left; held while the kernel lets go of one tracepoint
        self._leaver: threading.Thread | None = None
        self.set({})

    def set(self, wanted: Mapping[str, Outcomes]) -> dict[str, str]:
        """From now on these event types are told and no others; those that can not be are returned with the reason.

        What was told before and is wanted still is told without a gap: only its spec changes.
        """
        refused = syscalls.unserved(wanted)
        told = _told(wanted)
        needed = {number for number, bits in told.items() if bits & (_SUCCESS | _FAILURE)}
        for number, call in syscalls.on_machine().items():
            self._specs.update(struct.pack("@I", number), syscalls.spec(call, told.get(number, 0)))
        self._stay(needed)
        for number in sorted(needed - self._attached.keys()):
            call = syscalls.on_machine()[number]
            if reason := self._attach(number, call):
                refused[call.type] = reason
        self._leave(self._attached.keys() - needed)
        return refused

    def __len__(self) -> int:
        """On how many tracepoints the program is."""
        return len(self._attached)

    def close(self) -> None:
        self._leave(self._attached.keys())
        leaver = self._leaver
        if leaver is not None:
            leaver.join()
        self._specs.close()

    def _attach(self, number: int, call: Call) -> str:
        """Empty, or why it can not be."""
        if self._program is None:
            return self._reason
        if call.opens:
            return ""  # the program of openings is there anyway, and goes on with this one
        if call.hook not in self._tracepoints:
            return ""  # the kernel was built without the call: it has the tracepoints of all others
        try:
            self._attached[number] = attach.tracepoint(self._program, self._tracepoints[call.hook])
        except OSError as error:
            return f"{call.hook}: {error.strerror or error}"
        return ""

    def _leave(self, numbers: Set[int]) -> None:
        if not numbers:
            return
        with self._lock:
            for number in tuple(numbers):
                self._leaving[number] = self._attached.pop(number)
            if self._leaver is None:
                self._leaver = threading.Thread(target=self._let_go, name="leave-tracepoints")
                self._leaver.start()

    def _stay(self, needed: Set[int]) -> None:
        """Keep what is wanted again before the thread came to it: a program can not be put on a tracepoint twice."""
        with self._lock:
            for number in needed & self._leaving.keys():
                self._attached[number] = self._leaving.pop(number)

    def _let_go(self) -> None:
        while True:
            with self._lock:
                if not self._leaving:
                    self._leaver = None
                    return
                os.close(self._leaving.popitem()[1])
            time.sleep(0.001)  # else the lock would never be free for who waits for it


def _told(wanted: Mapping[str, Outcomes]) -> dict[int, int]:
    """Number -> TELL_ bits of bpf/record.h."""
    told = {
        number: _bits(call, wanted[call.type])
        for number, call in syscalls.on_machine().items()
        if call.type in wanted and not syscalls.is_absent(call)
    }
    if any(wanted[name].environment for name in syscalls.EXECS if name in wanted):
        number = next(number for number, call in syscalls.on_machine().items() if call.name == "execve")
        told[number] = told.get(number, 0) | _ENVIRONMENT
    return told


def _bits(call: Call, outcomes: Outcomes) -> int:
    return (
        _SUCCESS * (outcomes.succeeded and not call.executes)
        | _FAILURE * outcomes.failed
        | _READS * outcomes.reads
        | _TCP * outcomes.tcp
        | _CONNECTED * outcomes.connected
        | _INTERNET * outcomes.internet
        | _LOCAL * outcomes.local
    )
