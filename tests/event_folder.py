"""A folder as the `events` stage writes it, of edges that a test lists."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np


def write_events(folder: Path, lines: dict[str, tuple[str, Any, Any]], stream: str = "nidq") -> Path:
    """Write the folder and return it; `lines`: a line of the stream -> its name, rising and falling edges (s)."""
    (folder / "events").mkdir(parents=True)
    entries = []
    for line, (name, rising_s, falling_s) in lines.items():
        seconds = np.concatenate([rising_s, falling_s])
        levels = np.repeat([1, 0], [len(rising_s), len(falling_s)])
        order = np.argsort(seconds, kind="stable")
        rows = ["time_s,level,duration_s,sample"]
        for place, (time_s, level) in enumerate(zip(seconds[order], levels[order], strict=True)):
            following = seconds[order][place + 1 : place + 2]
            duration = f"{following[0] - time_s:.9f}" if len(following) else ""
            rows.append(f"{time_s:.9f},{level},{duration},{round(30000 * time_s)}")
        file = f"{stream}_{name or line}.csv"
        (folder / "events" / file).write_text("\n".join(rows) + "\n")
        entries.append(
            {
                "stream": stream,
                "line": line,
                "name": name,
                "label": name or f"{stream}_{line}",
                "file": file,
                "rising": len(rising_s),
                "falling": len(falling_s),
                "first_s": float(seconds.min(initial=np.inf)) if len(seconds) else None,
                "last_s": float(seconds.max(initial=-np.inf)) if len(seconds) else None,
                "kind": "digital",
                "problems": [],
            }
        )
    (folder / "events" / "events.json").write_text(json.dumps(entries))
    return folder
