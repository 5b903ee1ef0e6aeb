"""SpikeInterface's compiled functions kept from one process to the next."""

from __future__ import annotations


def cache_compiled_code() -> None:
    """Make numba cache every function of SpikeInterface that it compiles from now on, in NUMBA_CACHE_DIR.

    SpikeInterface (0.105.3) compiles its functions without a cache, which costs a short task more than its work. Their
    decorators ask numba for a dispatcher, so the cache is turned on where dispatchers are made.
    """
    from numba.core.registry import CPUDispatcher

    if getattr(CPUDispatcher.__init__, "caches", False):
        return
    plain_init = CPUDispatcher.__init__

    def init_with_cache(self, py_func, *args, **kwargs):
        plain_init(self, py_func, *args, **kwargs)
        if py_func.__module__ and py_func.__module__.startswith("spikeinterface"):
            self.enable_caching()

    init_with_cache.caches = True
    CPUDispatcher.__init__ = init_with_cache
