"""Write a block's devices, electrodes, LFP and, on request, raw traces to an NWB file."""
