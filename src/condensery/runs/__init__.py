"""Runs: condensing in a folder from which it can resume, the files that it writes, and estimates of its cost."""
