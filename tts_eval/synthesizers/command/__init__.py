"""Any program that reads jobs and writes audio files."""
