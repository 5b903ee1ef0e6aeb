"""Bytes that preprocessing with motion reads and writes, 64 channels x 120 s."""

from __future__ import annotations

import json

from tests.bench.measure import cost, forget_cached, python, table
from tests.bench.sessions import RESULTS, Session, empty_folder, session, traces_of


def main() -> None:
    """Run the capsule once by the kernel's count and once by SpikeInterface's; print multiples of the files' sizes."""
    measured = session(channels=64, units=20, duration_s=120)
    output = empty_folder("disk")
    raw_bytes = measured.raw.stat().st_size
    # The libraries and the compiled code are in the page cache after this.
    cost(*measured.stage("preprocessing", output))
    output = empty_folder("disk")
    forget_cached(measured.data)
    ran = cost(*measured.stage("preprocessing", output))
    traces_bytes = traces_of(output).stat().st_size
    asked = asked_bytes(measured)
    rows = (
        ("given to storage (`write_bytes`)", ran.written_bytes, traces_bytes, "traces"),
        ("fetched from storage (`read_bytes`, raw file not cached)", ran.read_bytes, raw_bytes, "raw"),
        ("asked of the raw file", asked["raw"], raw_bytes, "raw"),
        ("asked of the written traces", asked["traces"], raw_bytes, "raw"),
        ("asked of both", sum(asked.values()), raw_bytes, "raw"),
    )
    shown = ((name, f"{size / 1e6:.0f}", f"{size / whole:.2f} x {unit}") for name, size, whole, unit in rows)
    print(table(("bytes", "MB", "multiple"), *shown))
    print(f"\nRaw file {raw_bytes / 1e6:.0f} MB, traces {traces_bytes / 1e6:.0f} MB.")


def asked_bytes(measured: Session) -> dict[str, int]:
    """Bytes that SpikeInterface asks of the raw file and of the written traces; whole rows, as they lie in the file."""
    output = empty_folder("disk")
    file = RESULTS / "frames.json"
    _, _, module, *arguments = measured.stage("preprocessing", output)
    cost(*python("tests.bench.counted_reads", file, module, *arguments))
    frames = json.loads(file.read_text())
    (whole,) = (json.loads(record.read_text()) for record in output.glob("*/stage.json"))
    samples = whole["facts"]["duration_s"] * json.loads(measured.job.read_text())["sampling_frequency_hz"]
    sizes = {"raw": measured.raw, "traces": traces_of(output)}
    return {kind: round(frames[kind] * path.stat().st_size / samples) for kind, path in sizes.items()}


if __name__ == "__main__":
    main()
