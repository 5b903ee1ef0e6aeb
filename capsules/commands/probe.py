"""`spikerelay probe`: write a probe of probeinterface's library, wired to a headstage, as a file for `probe_paths`."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from urllib.error import HTTPError, URLError

import numpy as np
from probeinterface import Probe, ProbeGroup, get_probe, write_probeinterface
from probeinterface.library import get_cache_folder
from probeinterface.wiring import pathways

from capsules.commands.layout import Page, print_pages
from capsules.commands.probe_drawing import draw_probe
from capsules.common.errors import Rejected, nearest

NAME = re.compile(r"([\w-]+)/([\w][\w.-]*)")
IN_ORDER = "in-order"
"""The wiring in which channel i of the recording is contact i of the probe."""


def run(arguments: argparse.Namespace) -> int:
    output: Path = arguments.output
    if output.exists():
        raise Rejected([f"{output}: exists: remove it, or choose another name"])
    probe = find_probe(arguments.name)
    wire_probe(probe, arguments.wiring)
    group = ProbeGroup()
    group.add_probe(probe)
    write_probeinterface(output, group)
    shanks = [""] * probe.get_contact_count() if probe.shank_ids is None else [str(id) for id in probe.shank_ids]
    about = f"{probe.get_contact_count()} contacts, wiring {arguments.wiring}"
    drawing = list(draw_probe(probe.contact_positions, shanks))
    notes = [
        f'to use it, add "probe_paths": "{output.name}" to the JSON that names the reader, and keep it with the data'
    ]
    print_pages([Page(f"{output}: {arguments.name}", [], {about: drawing}, notes)])
    return 0


def find_probe(name: str) -> Probe:
    """A probe by manufacturer and name, from this machine's copy of the library, or downloaded to it.

    Raises
    ------
    Rejected
        When the name is invalid, the library has no such probe, or it is unavailable.
    """
    match = NAME.fullmatch(name)
    if match is None:
        raise Rejected([f"{name}: name the manufacturer and the probe, as in cambridgeneurotech/ASSY-156-P-1"])
    manufacturer, probe = match.groups()
    copies = get_cache_folder() / "main" / manufacturer
    try:
        return get_probe(manufacturer, probe)
    except HTTPError as error:
        close = nearest(probe, [file.stem for file in copies.glob("*.json")])
        raise Rejected([f"{name}: the library has no such probe ({error.code}){close}"]) from None
    except (URLError, TimeoutError) as error:
        reason = getattr(error, "reason", error)
        problem = f"{name}: not in {copies}, and the library cannot be downloaded: {reason}"
        raise Rejected([f"{problem}; copy its JSON file there"]) from None
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise Rejected([f"{copies / probe}.json: not a probe file, remove it: {error}"]) from None


def wire_probe(probe: Probe, wiring: str) -> None:
    """Set the channel of each contact, by a wiring of probeinterface or in order.

    Raises
    ------
    Rejected
        When probeinterface has no such wiring, or it is for another number of contacts.
    """
    contacts = probe.get_contact_count()
    if wiring == IN_ORDER:
        probe.set_device_channel_indices(np.arange(contacts))
        return
    fitting = [IN_ORDER, *(name for name, channels in pathways.items() if len(channels) == contacts)]
    if wiring not in fitting:
        kind = "is for another number of contacts" if wiring in pathways else "unknown"
        listed = ", ".join(fitting)
        raise Rejected([f"--wiring {wiring}: {kind}; for {contacts} contacts: {listed}{nearest(wiring, fitting)}"])
    probe.wiring_to_device(wiring)
