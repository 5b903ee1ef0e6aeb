"""`make bench`: every benchmark, one after another."""

from tests.bench import disk, memory, neuropixels, postprocessing, preprocessing

for bench in (preprocessing, postprocessing, disk, memory, neuropixels):
    print(f"\n{(bench.__doc__ or '').splitlines()[0]}\n", flush=True)
    bench.main()
