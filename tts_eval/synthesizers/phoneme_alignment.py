"""Which phoneme each of the codec's tokens says, given the text.

A small head reads phonemes off the codec's quantised points (CTC). While the codec trains, that makes
its tokens phonetic; afterwards the best path through the head's output that spells the text (Graves et
al. 2006) says where in the speech each word lies: in training data, and in a prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tts_eval.errors import WeightsError
from tts_eval.files import write_atomically
from tts_eval.phonemes import LETTERS, speech_sounds
from tts_eval.synthesizers.nano_codec import CodecConfig, ScalarQuantiser, TimeConvolution, read_config

FILE = "phonemes.safetensors"
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
        """Write the head's tensors in float16, complete or not at all."""
        from safetensors.torch import save_file

        tensors = {
            name: tensor.detach().to("cpu", torch.float16).contiguous() for name, tensor in self.state_dict().items()
        }
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
            head.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
        except (OSError, KeyError, RuntimeError, SafetensorError) as error:
            raise WeightsError(
                f"{path} does not hold a phoneme head ({error}). 'python -m tts_eval.recipes.codec' writes it "
                "beside the codec."
            ) from error
        return head.eval()


class PhonemeAligner:
    """Says where in a clip's codes each symbol of its phonemes lies."""

    def __init__(self, head: PhonemeHead, config: CodecConfig, device: torch.device) -> None:
        self._head = head.to(device)
        self._quantiser = ScalarQuantiser(config.levels).to(device)
        self._device = device

    @classmethod
    def load(cls, codec: Path, device: torch.device) -> PhonemeAligner:
        """The aligner that lies in a codec's folder.

        Raises:
            WeightsError: there is none.
        """
        return cls(PhonemeHead.load(codec / FILE), read_config(codec), device)

    @torch.inference_mode()
    def places(self, codes: np.ndarray, phonemes: str, *, is_whole: bool = True) -> np.ndarray | None:
        """Which symbol of `phonemes` each code belongs to, int32 [frames]; never falling.

        A clip that is no whole one says a beginning of them. None where there are more sounds than fit into the
        frames: it is not what the clip says.
        """
        points = self._quantiser.points(torch.from_numpy(codes.astype(np.int64)).to(self._device))
        sounds = align(self._head(points[None])[0].cpu().numpy(), sound_numbers(speech_sounds(phonemes)), is_whole)
        if sounds is None:
            return None
        letters = np.array([place for place, symbol in enumerate(phonemes) if symbol in LETTERS], np.int32)
        places: np.ndarray = letters[sounds]
        return places


def sound_numbers(sounds: str) -> list[int]:
    """Phonemes as numbers from 1; 0 stands for none."""
    return [LETTERS.index(sound) + 1 for sound in sounds]


def align(log_probs: np.ndarray, sounds: Sequence[int], is_whole: bool = True) -> np.ndarray | None:
    """Which of `sounds` each frame belongs to, int32 [frames]; None where there are too many of them to fit.

    Unless all of them must have been said, the path ends where it is likeliest.

    `log_probs` [frames, phonemes + 1] are of CTC with blank 0. A blank belongs to the sound before it, but for
    the last one before another sound, which is where that one begins.
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
    state = int(scores.argmax()) if not is_whole else len(labels) - (1 if scores[-1] >= scores[-2] else 2)
    if scores[state] < _IMPOSSIBLE / 2:
        return None
    path = np.zeros(len(log_probs), np.int64)
    for frame in range(len(log_probs) - 1, -1, -1):
        path[frame] = state
        state -= int(steps[frame, state])
    is_onset = (path[:-1] % 2 == 0) & (path[1:] % 2 == 1)
    path[:-1][is_onset] += 1
    places: np.ndarray = ((path - 1) // 2).clip(0).astype(np.int32)
    return places


def _delayed(scores: np.ndarray, by: int) -> np.ndarray:
    return np.concatenate([np.full(by, _IMPOSSIBLE), scores[:-by]])
