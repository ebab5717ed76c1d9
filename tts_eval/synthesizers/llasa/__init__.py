"""Llasa: a Llama that continues text with the codes of a speech codec (Ye et al. 2025, arXiv:2502.04128)."""
