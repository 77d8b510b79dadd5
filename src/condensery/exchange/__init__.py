"""Condensed sets for other programs, and those of other programs for this one."""
