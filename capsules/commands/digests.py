"""`spikerelay hash`: digests of the content of a results folder."""

from __future__ import annotations

import argparse

from capsules.results.content import content_digests, total


def run(arguments: argparse.Namespace) -> int:
    digests = content_digests(arguments.results)
    for name, value in digests.items():
        print(f"{value}  {name}")
    print(f"{total(digests)}  total")
    return 0
