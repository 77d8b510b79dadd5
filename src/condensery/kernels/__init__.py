"""Kernels: the passes of the small networks, written for speed and compiled; threads and memory."""
