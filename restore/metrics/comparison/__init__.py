"""Compares results with references: pairs the files, scores them by one protocol, and shows the outcome."""

from restore.metrics.comparison.comparing import Listeners, Setting, compare
from restore.metrics.comparison.outcome import Comparison, MetricSummary, PictureScores, range_text, text
from restore.metrics.comparison.pairing import Pair, Problem, pair, pictures_in, without_maps
from restore.metrics.comparison.protocol import CHANNELS, Protocol, luma, protocol_of

__all__ = [
    "CHANNELS", "Comparison", "Listeners", "MetricSummary", "Pair", "PictureScores", "Problem", "Protocol", "Setting", "compare", "luma",
    "pair", "pictures_in", "protocol_of", "range_text", "text", "without_maps",
]  # fmt: skip
