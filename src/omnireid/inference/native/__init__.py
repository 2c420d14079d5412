"""OSNet on a CPU without torch or a runtime: our own kernels, compiled for the machine they run on."""
