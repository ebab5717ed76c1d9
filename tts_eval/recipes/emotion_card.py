"""The model card of `emotion-nano`, from what was measured."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tts_eval.recipes.emotion_data import EMOTIONS
from tts_eval.recipes.emotion_evaluation import Evaluation

_CARD = """\
# emotion-nano

Five emotions in speech: {emotions}. A linear classifier on the states of all four layers of
Whisper tiny.en's encoder (mean and deviation over time) and 28 numbers of prosody; clips over 4 s are heard in
equal pieces. It is the model behind `--verifier emotion` and `--judge emotion`.

**Licence: CC BY-NC-SA 4.0, non-commercial**, because it is trained on RAVDESS (S. R. Livingstone and F. A. Russo,
2018, "The Ryerson Audio-Visual Database of Emotional Speech and Song", PLoS ONE 13(5): e0196391), which is. The
encoder (OpenAI, MIT) is not part of these files.

## Training

`python -m tts_eval.recipes.emotion` on {clips} speech clips of RAVDESS (24 actors, two sentences; calm counts as
neutral, fearful and disgusted are left out), each as it is and in four disturbed versions: tempo, room, band and
colour, noise from 5 dB SNR, soft distortion, random cuts. {read} clips of read speech of {read_speakers} other
speakers, without labels, say how features move with voice, words and recording. Every clip is brought to one
loudness, its outer silence cut. Closed form: the same files on every run.

## Measured

Unweighted average recall (UAR) over the five classes; chance is 20 %. Four folds, each tested on six actors that
training did not hear (1-6, 7-12, 13-18, 19-24).

**{recall} and {recall_by_sentence} are not from untouched data**: the features and the classifier's four settings
(three weights of covariances, the number of directions) were chosen by comparing such recalls on these same folds.
Expect a little less of actors that nobody looked at.

| test | UAR |
| --- | --- |
| unheard actors, mean of four folds | {recall} |
| the folds | {folds} |
| unheard actors, without the calm clips | {recall_without_calm} |
| unheard actors who say the unheard sentence | {recall_by_sentence} |
| the same, without the calm clips | {recall_by_sentence_without_calm} |

Of the clips of one emotion (rows), heard as (columns), all folds:

{confusion}

What carries over: UAR of unheard actors in disturbances. Only "as in training" was trained with, on other actors.

{views}

Read speech of {held_out_speakers} speakers that training never heard has no labels; most of it should be
neutral. Share heard as:

{read_table}

**Of {worst_corpus}, no more than {worst_share} is called neutral**, although training heard other speakers of the same
corpora (without labels). What it hears outside of acted studio speech is therefore not to be taken at its word: a
recording chain moves all of its clips together, and one that training never heard may move them further.

## Limits

- Acted emotion, North American English, two sentences, 24 actors: real feelings are fainter, other languages are
  untested. The disturbances above stand for other rooms and microphones; no second corpus with labels was at hand.
- Compare candidates of one request or one synthesizer with each other; do not read a share of "angry" or "sad" as a
  fact about a voice or a corpus.
- Probabilities are calibrated on unheard actors of RAVDESS (temperature {temperature}), on no other speech.
- Fearful, disgusted and any other emotion is heard as one of the five.
"""


def card(evaluation: Evaluation, counts: Mapping[str, int]) -> str:
    """The card in Markdown; `counts` are clips, read, read_speakers and held_out_speakers."""
    neutral = {corpus: float(shares[EMOTIONS.index("neutral")]) for corpus, shares in evaluation.read.items()}
    worst = min(neutral, key=lambda corpus: neutral[corpus])
    return _CARD.format(
        emotions=", ".join(EMOTIONS),
        recall=_percent(evaluation.recall),
        folds=", ".join(map(_percent, evaluation.fold_recalls)),
        recall_without_calm=_percent(evaluation.recall_without_calm),
        recall_by_sentence=_percent(evaluation.recall_by_sentence),
        recall_by_sentence_without_calm=_percent(evaluation.recall_by_sentence_without_calm),
        confusion=_table(["", *EMOTIONS], [[name, *map(str, row)] for name, row in _rows(evaluation.confusion)]),
        views=_table(["view", "UAR"], [[name, _percent(value)] for name, value in evaluation.views.items()]),
        read_table=_table(
            ["corpus", *EMOTIONS], [[name, *map(_percent, shares)] for name, shares in evaluation.read.items()]
        ),
        worst_corpus=worst,
        worst_share=_percent(neutral[worst]),
        temperature=f"{evaluation.temperature:.2f}",
        **counts,
    )


def _rows(confusion: np.ndarray) -> list[tuple[str, list[int]]]:
    return list(zip(EMOTIONS, confusion.tolist(), strict=True))


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
