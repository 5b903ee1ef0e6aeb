"""Cache compiled functions across processes."""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def cache_compiled_code() -> None:
    """Make numba cache every function of SpikeInterface and of ours that it compiles from now on, in NUMBA_CACHE_DIR.

    SpikeInterface (0.105.3) compiles its functions without a cache, which takes longer than the work of a short task.
    Their decorators ask numba for a dispatcher: this turns on the cache of every new dispatcher.
    """
    # Not at the top: numba reads its number of threads when it is imported, and `--help` does without it.
    from numba.core.registry import CPUDispatcher

    plain_init = CPUDispatcher.__init__

    def init_with_cache(self: Any, py_func: Any, *args: Any, **kwargs: Any) -> None:
        plain_init(self, py_func, *args, **kwargs)
        if py_func.__module__ and py_func.__module__.startswith(("spikeinterface", "capsules")):
            self.enable_caching()

    CPUDispatcher.__init__ = init_with_cache  # type: ignore[method-assign]  # the patch
