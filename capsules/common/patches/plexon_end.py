"""neo's reading of Plexon's `.plx` (0.14.6) up to the last sample."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from neo.rawio.plexonrawio import PlexonRawIO

SIGNALS = 5
"""Plexon's number of the blocks with continuous signals."""


@cache
def read_last_block() -> None:
    """Let neo read the last block of each channel, which it reads as zeros where a chunk ends with the file.

    It cuts `data[:-0]`, which is empty, where nothing has to be cut.
    """
    plain: Callable[..., Any] = PlexonRawIO._get_analogsignal_chunk

    def read(self: Any, block: int, segment: int, start: Any, stop: Any, stream: int, channels: Any) -> Any:
        stream_id = self.header["signal_streams"][stream]["id"]
        count = int(self._stream_id_samples[stream_id])
        start, stop = start or 0, count if stop is None else stop
        if stop < count or stop <= start:
            return plain(self, block, segment, start, stop, stream, channels)
        traces = plain(self, block, segment, start, stop, stream, channels)
        # Up to the sample before the last it is right; the last one is the end of its channel's last block.
        traces[:-1] = plain(self, block, segment, start, stop - 1, stream, channels)
        chosen = self.header["signal_channels"]
        chosen = chosen[chosen["stream_id"] == stream_id]
        for column, name in enumerate(chosen["id"] if channels is None else chosen["id"][channels]):
            last = self._data_blocks[SIGNALS][int(name)][-1]
            end = last["pos"] + last["size"]
            traces[-1, column] = self._memmap[end - 2 : end].view("int16")[0]
        return traces

    PlexonRawIO._get_analogsignal_chunk = read  # type: ignore[method-assign]  # the patch
