"""`python -m tts_eval.cli`."""

from tts_eval.cli import main

main()
