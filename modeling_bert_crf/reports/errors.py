"""The error that says why there is no report."""

__all__ = ["ReportError"]


class ReportError(ValueError):
    """A report cannot be made; the message says why."""
