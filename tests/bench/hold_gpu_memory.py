"""Hold the GPU's memory except a given part, until standard input ends: another process's share of the GPU."""

from __future__ import annotations

import sys

import torch

GB = 1e9


def hold(free_gb: float) -> None:
    """Allocate all but `free_gb`, print how many GB are free then, and wait for the end of standard input."""
    free, _ = torch.cuda.mem_get_info()
    # Plain memory: a program that asks for more managed memory than the card has free can hang it.
    kept = torch.empty(max(0, free - int(free_gb * GB)), dtype=torch.uint8, device="cuda")
    print(torch.cuda.mem_get_info()[0] / GB, flush=True)
    sys.stdin.read()
    del kept


if __name__ == "__main__":
    hold(float(sys.argv[1]))
