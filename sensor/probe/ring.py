"""The kernel's BPF ring buffer, read from its mapped pages: batches of records without a call for each.

Layout (include/linux/bpf.h, kernel/bpf/ringbuf.c): a page with the consumer's position, which we write; a
page with the producer's; the data, mapped twice in a row so that no record is ever split. A record begins
with its length, whose top bits say that it is still being written or was given up.
"""

from __future__ import annotations

import mmap
import select
import struct
import threading

_BUSY, _DISCARD = 1 << 31, 1 << 30
_LENGTH = _DISCARD - 1
_HEADER = 8  # length, and an offset that is the kernel's own
_U32 = struct.Struct("=I")


class Ring:
    """The consumer's side; there must be no other."""

    def __init__(self, fd: int, size: int) -> None:
        """`size` is the data's, in bytes: a power of two. Raises OSError."""
        self._mask = size - 1
        self._consumer_map = mmap.mmap(fd, mmap.PAGESIZE, flags=mmap.MAP_SHARED)
        self._producer_map = mmap.mmap(
            fd, mmap.PAGESIZE + 2 * size, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ, offset=mmap.PAGESIZE
        )
        self._consumer = memoryview(self._consumer_map).cast("Q")
        self._pages = memoryview(self._producer_map)
        self._producer = self._pages[: mmap.PAGESIZE].cast("Q")
        self._data = self._pages[mmap.PAGESIZE :]
        self._fence = threading.Lock()
        self._epoll = select.epoll(1)
        self._epoll.register(fd, select.EPOLLIN)

    def wait(self, seconds: float) -> None:
        """Until there is something to read, at most so long."""
        self._epoll.poll(seconds)

    def take(self, limit: int) -> list[bytes]:
        """At most `limit` records, copied; their room is the kernel's again."""
        start = at = self._consumer[0]
        end = self._producer[0]
        found: list[tuple[int, int]] = []
        while at < end and len(found) < limit:
            offset = at & self._mask
            length = _U32.unpack_from(self._data, offset)[0]
            if length & _BUSY:
                break
            size = length & _LENGTH
            if not length & _DISCARD:
                found.append((offset + _HEADER, size))
            at += (size + _HEADER + 7) & ~7
        if at == start:
            return []
        # A lock is a barrier both ways: lengths are read before data, and data before its room is given back.
        with self._fence:
            records = [bytes(self._data[offset : offset + size]) for offset, size in found]
        self._consumer[0] = at
        return records

    def close(self) -> None:
        """Unmap; the ring itself belongs to whoever made it."""
        self._epoll.close()
        for view in (self._consumer, self._producer, self._data, self._pages):
            view.release()
        self._consumer_map.close()
        self._producer_map.close()
