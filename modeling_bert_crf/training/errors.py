"""The errors that a run can end with: each is one sentence that tells the user how to go on."""

__all__ = ["Stopped", "TrainingError", "UserError"]


class UserError(ValueError):
    """Something in the command or in the files that the user can change; the message says what and how."""


class TrainingError(RuntimeError):
    """Training cannot go on; the message says why, and from where it can be started again."""


class Stopped(TrainingError):
    """The user stopped the run."""

    status = 130
    """The exit status that a shell expects of a program that Ctrl-C ended."""
