"""Channel groups of recordings without geometry: tetrodes, bundles of wires, shanks of unknown position."""

from __future__ import annotations

from typing import cast

from probeinterface import Probe, ProbeGroup, generate_linear_probe, generate_tetrode
from spikeinterface import BaseRecording

APART_UM = 250.0
"""Between two groups: no unit is seen by both."""
PITCH_UM = 20.0
TETRODE = 4


def set_channel_groups(recording: BaseRecording, asked: str | None) -> BaseRecording:
    """Give a recording without channel positions a probe for each channel group; one that has positions is kept.

    Parameters
    ----------
    asked : str, optional
        As in `4x4`: groups, and channels of each in the recording's order. Without it, the reader's groups are used.

    Raises
    ------
    ValueError
        When the groups that are asked for do not have as many channels as the recording.
    """
    if recording.has_channel_location():
        return recording
    groups = find_reader_groups(recording) if asked is None else _groups_of(asked, recording)
    if not groups:
        return recording
    probegroup = ProbeGroup()
    for index, channels in enumerate(groups):
        probe = _probe(len(channels))
        probe.move([index * APART_UM, 0.0])
        probe.set_contact_ids([str(recording.channel_ids[channel]) for channel in channels])
        probe.set_device_channel_indices(channels)
        probegroup.add_probe(probe)
    # Channels in none of the groups are left out.
    grouped = cast(BaseRecording, recording.select_channels_with_probegroup(probegroup))
    left_out = [str(channel) for channel in recording.channel_ids if channel not in set(grouped.channel_ids)]
    grouped.annotate(assumed_layout=_layout(groups), in_no_group=left_out)
    return grouped


def find_reader_groups(recording: BaseRecording) -> list[list[int]]:
    """The channel groups that a reader reports, as channel indices in the shank's order; empty when there are none."""
    xml = getattr(recording, "xml_file_path", None)
    if xml is not None and hasattr(recording, "_parse_xml_file"):
        # Neuroscope: the reader's property of the groups loses the channels' order.
        groups = [group.tolist() for group in recording._parse_xml_file(xml)[0]]
        return groups if len(groups) > 1 else []
    names = recording.get_channel_groups()
    names = [] if names is None else names.tolist()
    groups = [[index for index, own in enumerate(names) if own == name] for name in dict.fromkeys(names)]
    return groups if len(groups) > 1 else []


def _groups_of(asked: str, recording: BaseRecording) -> list[list[int]]:
    count, size = map(int, asked.split("x"))
    channels = recording.get_num_channels()
    if count * size != channels:
        raise ValueError(f"channel_groups = {asked} are {count * size} channels, and the recording has {channels}")
    return [list(range(start, start + size)) for start in range(0, channels, size)]


def _probe(channels: int) -> Probe:
    probe = generate_tetrode() if channels == TETRODE else generate_linear_probe(channels, ypitch=PITCH_UM)
    probe.annotate(name="tetrode" if channels == TETRODE else "channel group")
    return probe


def _layout(groups: list[list[int]]) -> str:
    sizes = sorted({len(group) for group in groups})
    shown = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    return f"{len(groups)} groups of {shown} channels"
