"""Partial PRM (Llasa, arXiv 2502.04128, section 4.2.3): guide the first two seconds, then sample freely.

The start decides the voice, so that is where a speaker verifier is worth its price; guided to the
end, it drives all beams into the same corner and the words suffer. `then`, in the paper a recogniser,
chooses among the beams once they are finished.
"""

from __future__ import annotations

from dataclasses import dataclass

from search.beam import BeamSearch


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialPrm(BeamSearch):
    """Beam search for the first seconds."""

    until: float = 2.0
    """Seconds of speech that are guided."""
