"""What judges: ASR, speaker, quality, duration, and combinations of them."""
