from itertools import combinations_with_replacement, pairwise

import numpy as np
import pytest
import torch

from tts_eval.errors import WeightsError
from tts_eval.phonemes import LETTERS
from tts_eval.synthesizers.phoneme_alignment import PhonemeHead, align, sound_numbers


def certain(frames: list[int], sounds: int = 9) -> np.ndarray:
    """Log probabilities of a head that hears these sounds (0: nothing) and is nearly sure."""
    log_probs = np.full((len(frames), sounds + 1), np.log(0.01))
    log_probs[np.arange(len(frames)), frames] = np.log(0.9)
    return log_probs


def test_a_frame_belongs_to_the_sound_it_is_heard_in():
    heard = [0, 3, 3, 0, 5, 0, 0, 5, 1]
    assert align(certain(heard), [3, 5, 5, 1]).tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 3]


def test_the_text_is_spelled_whatever_is_heard():
    assert align(certain([3, 3, 3, 3, 5, 5]), [3, 4, 5]).tolist() == [0, 0, 0, 1, 2, 2]
    random = np.random.default_rng(0)
    for _ in range(20):
        log_probs = np.log(random.dirichlet(np.ones(10), size=40))
        sounds = random.integers(1, 10, 15)
        places = align(log_probs, sounds)
        assert places[0] == 0 and places[-1] == 14 and set(np.diff(places)) <= {0, 1}


def test_the_alignment_is_the_most_probable_of_all():
    random = np.random.default_rng(1)
    log_probs = np.log(random.dirichlet(np.ones(4), size=5))
    sounds = [1, 2]
    states = [0, 1, 0, 2, 0]
    paths = [path for path in combinations_with_replacement(range(5), 5) if path[0] <= 1 and path[-1] >= 3]
    allowed = [path for path in paths if all(b - a <= 1 or (a, b) == (1, 3) for a, b in pairwise(path))]
    best = max(allowed, key=lambda path: sum(log_probs[t, states[s]] for t, s in enumerate(path)))
    begun = [state + (state % 2 == 0 and later % 2 == 1) for state, later in pairwise([*best, 0])]
    assert align(log_probs, sounds).tolist() == [max(0, (state - 1) // 2) for state in begun]


def test_a_beginning_ends_where_it_is_heard_to_end():
    for heard, expected in (
        ([0, 3, 3, 5], [0, 0, 0, 1]),
        ([0, 3, 3, 5, 0, 5, 0, 0], [0, 0, 0, 1, 2, 2, 2, 2]),
        ([0, 0], [0, 0]),
        ([3, 0, 5, 0, 5, 1], [0, 1, 1, 2, 2, 3]),
    ):
        assert align(certain(heard), [3, 5, 5, 1], is_whole=False).tolist() == expected
    assert align(certain([3, 5]), [3, 5, 5, 1]) is None


def test_more_sounds_than_frames_have_no_alignment():
    assert align(certain([1, 2]), [1, 2, 3]) is None
    assert align(certain([1, 1]), [1, 1]) is None, "a sound follows itself only after a blank"
    assert align(certain([0, 0]), []) is None


def test_a_head_survives_its_file(tmp_path):
    torch.manual_seed(0)
    head = PhonemeHead(3, width=8)
    head.save(tmp_path / "head.safetensors")
    points = torch.randn(2, 11, 3)
    again = PhonemeHead.load(tmp_path / "head.safetensors")
    torch.testing.assert_close(again(points), head(points), atol=0.01, rtol=0.01)
    assert again(points).shape == (2, 11, len(LETTERS) + 1)
    with pytest.raises(WeightsError, match=r"recipes\.codec"):
        PhonemeHead.load(tmp_path / "nothing.safetensors")


def test_sounds_are_numbered_from_one():
    assert sound_numbers(LETTERS[0] + LETTERS[-1]) == [1, len(LETTERS)]
