"""Make the pictures of the documentation: `python -m tests.pictures [GROUP ...]`.

Intermediate results are in `.pictures`; without this folder they are computed again. The pictures of real units need
`../shared`; without it they stay as they are.
"""

from __future__ import annotations

import argparse
import time
from importlib import import_module

from tests.pictures.listing import GROUPS
from tests.pictures.studio import IMAGES, Unavailable, open_studio

MOST_BYTES_OF_ALL = 2_500_000


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.pictures", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)}; without any: all")
    groups = parser.parse_args().groups or list(GROUPS)
    if unknown := [group for group in groups if group not in GROUPS]:
        parser.error(f"unknown group {unknown[0]}; the groups are {', '.join(GROUPS)}")
    left_out = []
    with open_studio() as studio:
        for group in groups:
            print(f"{group}:", flush=True)
            begin = time.monotonic()
            try:
                import_module(f"tests.pictures.{group}").make(studio)
            except Unavailable as reason:
                left_out.append(f"{group}: not made, {len(GROUPS[group])} pictures stay as they are: {reason}")
                continue
            print(f"  {time.monotonic() - begin:.0f} s", flush=True)
            if missing := set(GROUPS[group]) - set(studio.saved):
                raise RuntimeError(f"tests.pictures.{group} did not save {', '.join(sorted(missing))}")
    size = sum(file.stat().st_size for file in IMAGES.iterdir())
    print(f"{len(studio.saved)} pictures made; docs/images has {size / 1e6:.2f} MB", *left_out, sep="\n")
    return 1 if size > MOST_BYTES_OF_ALL else 0


if __name__ == "__main__":
    raise SystemExit(main())
