"""Parameters of the events (section `events`)."""

from typing import Annotated

from pydantic import Field

from capsules.parameters.model import Section, param

LineName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,79}$")]


class EventsParams(Section):
    """Events: the digital lines of the NI board, OneBox, probes and Open Ephys, and analog lines with a threshold."""

    names: dict[str, LineName] = param(
        {},
        "Names of lines, for files, NWB and report: line -> name, e.g. `XD1` -> `reward`. Put the stream before a line "
        "that several streams have: `nidq:XD1`. Names have letters, digits, spaces and `.`, `_` and `-`.",
    )
    analog_thresholds_v: dict[str, float] = param(
        {},
        "Analog channels to detect events in: channel -> threshold, e.g. `XA0` -> 1.5. The line is high while the "
        "channel is above its threshold. Other analog channels have no events.",
        unit="V",
    )
    min_duration_ms: float = param(
        0,
        "Pulses shorter than this are removed, and the bounces of longer ones; 0 keeps all. Increase it for a bouncing "
        "switch, or for an analog channel whose noise crosses the threshold.",
        unit="ms",
        ge=0,
    )
    analog_to_nwb: bool = param(
        False,
        "Write the analog channels of the NI board and OneBox to the NWB file as well, in volts; the file gets larger "
        "by 180 MB for each channel and hour at 25 kHz.",
    )


PARAMS = EventsParams
