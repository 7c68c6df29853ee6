"""The service's figures, in the text form that Prometheus reads: numbers alone, and no text of a user."""

from bisect import bisect_left
from collections import Counter
from itertools import accumulate

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """Counts what happens; all of it from the one thread of the event loop.

    Attributes:
        open: requests that are being received, wait, or are being tagged.
        texts, characters: that were tagged.
        batches: that the tagger was given.
        batch_seconds: how long it has worked on them.
    """

    def __init__(self) -> None:
        self.open = self.texts = self.characters = self.batches = 0
        self.batch_seconds = 0.0
        self._statuses: Counter[int] = Counter()
        self._durations = [0] * (len(_BOUNDS) + 1)
        self._seconds = 0.0

    def answered(self, status: int, seconds: float) -> None:
        """Count a request to tag something, by the status of its answer; how long it took counts where it is 200."""
        self._statuses[status] += 1
        if status == 200:
            self._durations[bisect_left(_BOUNDS, seconds)] += 1
            self._seconds += seconds

    def text(self) -> str:
        """Write all figures down."""
        lines = _head("requests_total", "counter", "Requests to tag something, by the status of the answer.")
        lines += [f'bert_crf_requests_total{{status="{one}"}} {n}' for one, n in sorted(self._statuses.items())]
        lines += _head("request_seconds", "histogram", "From a request's arrival to its answer, where that is 200.")
        totals = list(accumulate(self._durations))
        for bound, total in zip((*_BOUNDS, "+Inf"), totals, strict=True):
            lines.append(f'bert_crf_request_seconds_bucket{{le="{bound}"}} {total}')
        lines += [f"bert_crf_request_seconds_sum {self._seconds}", f"bert_crf_request_seconds_count {totals[-1]}"]
        for name, kind, value, said in (
            ("requests_open", "gauge", self.open, "Requests that are being received, wait, or are being tagged."),
            ("texts_total", "counter", self.texts, "Texts that were tagged."),
            ("characters_total", "counter", self.characters, "Characters of these texts."),
            ("batches_total", "counter", self.batches, "Batches that requests shared."),
            ("batch_seconds_total", "counter", self.batch_seconds, "How long the tagger has worked on them."),
        ):
            lines += [*_head(name, kind, said), f"bert_crf_{name} {value}"]
        return "\n".join(lines) + "\n"


def _head(name: str, kind: str, said: str) -> list[str]:
    return [f"# HELP bert_crf_{name} {said}", f"# TYPE bert_crf_{name} {kind}"]
