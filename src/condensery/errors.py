"""The two ways in which a command can go wrong."""

__all__ = ["InputError", "RunError"]


class InputError(Exception):
    """The command or its input is wrong: one line that says what, where and what to do (exit status 2)."""


class RunError(Exception):
    """A run that was asked for correctly failed on its way (exit status 1)."""
