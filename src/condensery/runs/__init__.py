"""Runs: a recipe in a folder from which it resumes, the files it writes, and what it will take."""
