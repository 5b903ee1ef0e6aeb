"""`make bench`: every benchmark, one after another."""

from tests.bench import disk, editor, memory, neuropixels, nwb, postprocessing, preprocessing, report

for bench in (preprocessing, postprocessing, report, nwb, editor, disk, memory, neuropixels):
    print(f"\n{(bench.__doc__ or '').splitlines()[0]}\n", flush=True)
    bench.main()
