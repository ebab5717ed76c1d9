"""Makes any text-to-speech model better at inference time, and proves by how much."""

__version__ = "0.1.0"
