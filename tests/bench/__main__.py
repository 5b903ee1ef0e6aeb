"""`make bench`: every benchmark, one after another."""

from tests.bench import disk, memory, neuropixels, postprocessing, preprocessing, report

for bench in (preprocessing, postprocessing, report, disk, memory, neuropixels):
    print(f"\n{(bench.__doc__ or '').splitlines()[0]}\n", flush=True)
    bench.main()
