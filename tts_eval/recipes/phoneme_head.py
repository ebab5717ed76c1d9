"""A small head that reads phonemes off the codec's quantised points, and where each of them is said.

While the codec trains, the head makes tokens phonetic. Afterwards it tells the language model's recipe
which phoneme each token belongs to: the best path through its CTC output that spells the text
(Graves et al. 2006, forced by the known transcript).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from torch import Tensor, nn
from torch.nn import functional

from tts_eval.errors import WeightsError
from tts_eval.files import write_atomically
from tts_eval.phonemes import LETTERS
from tts_eval.synthesizers.nano_codec import TimeConvolution

FILE = "phoneme_head.safetensors"
_IMPOSSIBLE = -1e9


class PhonemeHead(nn.Module):
    """Reads phonemes off quantised points, a few tokens at a time."""

    def __init__(self, dimensions: int, width: int = 256) -> None:
        super().__init__()
        self.first = TimeConvolution(dimensions, width, 5)
        self.second = TimeConvolution(width, width, 3)
        self.leave = nn.Linear(width, len(LETTERS) + 1)

    def forward(self, points: Tensor) -> Tensor:
        """Log probabilities [B, frames, phonemes + 1]; 0 is the blank."""
        hidden = functional.gelu(self.second(functional.gelu(self.first(points))))
        return functional.log_softmax(self.leave(hidden).float(), dim=-1)

    def save(self, path: Path) -> None:
        """Write the head's tensors, complete or not at all."""
        from safetensors.torch import save_file

        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.state_dict().items()}
        write_atomically(path, partial(save_file, tensors))

    @classmethod
    def load(cls, path: Path) -> PhonemeHead:
        """The head in a file that `save` wrote.

        Raises:
            WeightsError: there is no such file.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            tensors = load_file(path)
            width, dimensions, _, _ = tensors["first.weight"].shape
            head = cls(dimensions, width)
            head.load_state_dict(tensors)
        except (OSError, KeyError, RuntimeError, SafetensorError) as error:
            raise WeightsError(
                f"{path} does not hold a phoneme head ({error}). 'python -m tts_eval.recipes.codec' writes it "
                "beside the codec."
            ) from error
        return head.eval()


def sound_numbers(sounds: str) -> list[int]:
    """Phonemes as numbers from 1; 0 stands for none."""
    return [LETTERS.index(sound) + 1 for sound in sounds]


def align(log_probs: np.ndarray, sounds: Sequence[int]) -> np.ndarray | None:
    """Which of `sounds` each frame belongs to, int32 [frames]; None where there are too many of them to fit.

    `log_probs` [frames, phonemes + 1] are of CTC with blank 0. A frame of silence belongs to the sound before it.
    """
    if not len(sounds):
        return None
    labels = np.zeros(2 * len(sounds) + 1, np.int64)
    labels[1::2] = sounds
    # A sound may follow another at once, but not itself: that takes a blank between.
    leaps = np.zeros(len(labels), bool)
    leaps[3::2] = labels[3::2] != labels[1:-2:2]
    scores = np.full(len(labels), _IMPOSSIBLE)
    scores[:2] = log_probs[0, labels[:2]]
    steps = np.zeros((len(log_probs), len(labels)), np.int64)
    for frame in range(1, len(log_probs)):
        ways = np.stack([scores, _delayed(scores, 1), np.where(leaps, _delayed(scores, 2), _IMPOSSIBLE)])
        steps[frame] = ways.argmax(0)
        scores = ways.max(0) + log_probs[frame, labels]
    state = len(labels) - 1 if scores[-1] >= scores[-2] else len(labels) - 2
    if scores[state] < _IMPOSSIBLE / 2:
        return None
    places = np.zeros(len(log_probs), np.int32)
    for frame in range(len(log_probs) - 1, -1, -1):
        places[frame] = max(0, (state - 1) // 2)
        state -= int(steps[frame, state])
    return places


def _delayed(scores: np.ndarray, by: int) -> np.ndarray:
    return np.concatenate([np.full(by, _IMPOSSIBLE), scores[:-by]])
