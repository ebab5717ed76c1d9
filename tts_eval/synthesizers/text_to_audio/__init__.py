"""The text-to-audio models that transformers carries."""
