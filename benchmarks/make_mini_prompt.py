"""Make the reference clip of the built-in suites: the embedded voice, without any noise.

Run: python -m benchmarks.make_mini_prompt
"""

from __future__ import annotations

from benchmarks.mini import PROMPT_TEXT, prompt_path
from tts_eval.audio import Clip, write_audio
from tts_eval.synthesizers import load_synthesizer
from tts_eval.types import Job, Request, Sampling


def main() -> None:
    """Write benchmarks/data/mini-prompt.flac at 16 kHz."""
    request = Request(id="mini-prompt", text=PROMPT_TEXT)
    job = Job(request=request, index=0, seed=0, sampling=Sampling(temperature=0.0))
    clip = load_synthesizer("piper").generate([job])[0].clip
    assert clip is not None
    write_audio(prompt_path(), Clip(clip.at(16_000), 16_000))


if __name__ == "__main__":
    main()
