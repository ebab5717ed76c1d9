import os
import subprocess
import sys

import pytest

from tts_eval.threads import SPIN, share_cores


@pytest.fixture
def bare(monkeypatch):
    """An environment without settings of OpenMP, and no torch yet."""
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.setenv(name, "")  # so that what the test sets is undone
        monkeypatch.delenv(name)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("settings", "spin"),
    [({}, SPIN), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, None)],
)
def test_threads_sleep_soon_unless_the_user_says_otherwise(bare, settings, spin):
    for name, value in settings.items():
        bare.setenv(name, value)
    share_cores()
    assert os.environ.get("GOMP_SPINCOUNT") == spin


def test_the_command_line_says_so(bare):
    """`--help` ends the program right after it has begun."""
    program = (
        "import atexit, os, runpy, sys\n"
        "atexit.register(lambda: print('spin', os.environ.get('GOMP_SPINCOUNT'), file=sys.stderr))\n"
        "sys.argv = ['tts-eval', '--help']\nrunpy.run_module('tts_eval.cli', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert f"spin {SPIN}" in done.stderr
