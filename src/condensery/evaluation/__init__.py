"""Evaluation: training networks, the protocols of the papers, and the accuracy that a condensed set reaches."""
