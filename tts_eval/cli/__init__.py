"""The command `tts-eval`: parses, calls the library, prints.

Results go to standard output, messages to standard error. Exit codes: 0 done, 1 more failed than
--fail-on allows, 2 wrong usage or an error with a way out, 130 interrupted (what was made is stored).
"""

from __future__ import annotations

import sys

from tts_eval.errors import TTSEvalError
from tts_eval.threads import share_cores


def main() -> None:
    """Run the command line."""
    share_cores()
    try:
        from tts_eval.cli.app import app

        app(standalone_mode=True)
    except KeyboardInterrupt:  # while modules load; later the commands say what is stored
        sys.exit(130)
    except TTSEvalError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
