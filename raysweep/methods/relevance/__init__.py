"""Layer-wise relevance propagation in pure torch: rules, composites of them, and the walk back through a network."""

from __future__ import annotations

from raysweep.methods.relevance.composites import COMPOSITES, Composite, composite_of
from raysweep.methods.relevance.network import RelevanceNetwork
from raysweep.methods.relevance.rules import BIASES, RULES

__all__ = ["BIASES", "COMPOSITES", "RULES", "Composite", "RelevanceNetwork", "composite_of"]
