"""Algorithms: what a recipe returns, the loop that matching methods share, and its parts."""
