"""Peak memory of preprocessing with motion, 64 channels, 60 s and 600 s."""

from __future__ import annotations

from tests.bench.measure import GB, OFTEN_S, cost, table
from tests.bench.sessions import empty_folder, session

DURATIONS_S = (60, 600)
NO_MINIMUM = ("--min-duration-for-preprocessing", "0")


def main() -> None:
    """Run the capsule on each duration and print the peaks."""
    rows = []
    for duration_s in DURATIONS_S:
        measured = session(channels=64, units=20, duration_s=duration_s)
        ran = cost(*measured.stage("preprocessing", empty_folder("memory"), *NO_MINIMUM), memory_every_s=OFTEN_S)
        peaks = (f"{peak / GB:.2f}" for peak in (ran.peak_own_bytes, ran.peak_resident_bytes))
        rows.append((f"{duration_s} s", f"{measured.raw.stat().st_size / GB:.2f}", *peaks, f"{ran.wall_s:.0f}"))
    print(table(("recording", "raw file, GB", "peak own, GB", "peak resident, GB", "wall, s"), *rows))
    print(
        "\nOwn: anonymous and shared pages. Resident: with the pages of mapped files, which the kernel can take back."
    )


if __name__ == "__main__":
    main()
