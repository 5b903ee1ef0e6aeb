"""`make bench`: every benchmark, one after another."""

from tests.bench import (
    disk,
    editor,
    end_to_end,
    many_sessions,
    memory,
    neuropixels,
    nwb,
    postprocessing,
    preprocessing,
    report,
    report_page,
)

SPEED = (end_to_end, many_sessions, preprocessing, postprocessing, report, report_page, nwb, editor)

for bench in (*SPEED, disk, memory, neuropixels):
    print(f"\n{(bench.__doc__ or '').splitlines()[0]}\n", flush=True)
    bench.main()
