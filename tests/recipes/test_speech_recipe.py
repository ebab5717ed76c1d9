"""Making speech with a fake engine: what is said, what is never said, and what a kill leaves behind."""

import re

import numpy as np
import pytest
import soundfile

from tts_eval.audio import Clip
from tts_eval.errors import ConfigError, DataError, RunLockedError
from tts_eval.phonemes import phonemize
from tts_eval.recipes import speech
from tts_eval.recipes.corpus import HELD_OUT_SPEAKERS, is_held_out, read_corpus
from tts_eval.recipes.speech import make, plan, words_of
from tts_eval.recipes.speech_folder import SpeechFolder, read_metadata, trim
from tts_eval.synthesizers import kokoro_model

TEXTS = [f"There were {number} ships in the harbour on that morning." for number in range(60)]
VOICES = ("low", "high")
HOUR = 1.0 / 3600


class Tones:
    """A second and a half of a tone for each line, between silences; dies after some lines."""

    def __init__(self, lives=1000):
        self.said = []
        self.lives = lives

    def say(self, lines):
        if self.lives < len(lines):
            raise KeyboardInterrupt
        self.lives -= len(lines)
        self.said += [line.id for line in lines]
        return [self.tone(line) for line in lines]

    def tone(self, line):
        time = np.arange(36000) / 24000
        tone = 0.2 * np.sin(2 * np.pi * (200 if line.voice == "low" else 400) * time)
        return Clip(np.pad(tone, 12000).astype(np.float32), 24000)


def lines(texts=TEXTS, voices=VOICES, seed=0, without=()):
    return list(plan(texts, voices, seed=seed, without=without, phonemes_of=str.upper))


def run(path, engine, seconds=20.0, batch=1, **choices):
    with SpeechFolder(path) as folder:
        return make(engine, lines(**choices), folder, hours=seconds * HOUR, batch=batch)


def rows(path):
    return read_metadata(path / "metadata.tsv")


# What is said


def test_everything_about_a_line_follows_from_the_seed_and_its_words():
    wanted = {line.id: line for line in lines()}
    assert {line.id: line for line in lines(texts=TEXTS[::-1])} == wanted
    assert [line.id for line in lines(texts=TEXTS[:20])] == [
        line.id for line in wanted.values() if line.text in TEXTS[:20]
    ]
    other = {line.id: line for line in lines(seed=1)}
    assert other.keys() == wanted.keys()
    assert list(other) != list(wanted)
    assert {line.seed for line in other.values()}.isdisjoint(line.seed for line in wanted.values())


def test_voices_and_temperatures_vary():
    planned = lines()
    assert {line.voice for line in planned} == set(VOICES)
    temperatures = [line.temperature for line in planned]
    assert 0.6 <= min(temperatures) < 0.7
    assert 1.0 < max(temperatures) <= 1.1


def test_no_sentence_is_said_twice_or_when_it_exists_elsewhere():
    twice = ["The harbour lights came on, one by one.", "the harbour lights came on one by one"]
    assert len(lines(texts=twice)) == 1
    assert lines(texts=twice, without={words_of(twice[0])}) == []


def test_sentences_too_short_or_too_long_are_passed_over():
    assert lines(texts=["Yes.", "word " * 60, "", "..."]) == []


def test_held_out_sentences_are_never_said():
    held_out = [text for text in TEXTS if is_held_out(text)]
    assert 0 < len(held_out) < 12
    assert {line.text for line in lines()} == set(TEXTS) - set(held_out)


def test_held_out_and_unknown_voices_are_refused_together(tmp_path, capsys):
    assert {"af_nova", "am_liam", "bf_lily", "bm_fable"} <= HELD_OUT_SPEAKERS
    command = ["--texts", "t", "--out", str(tmp_path), "--hours", "1", "--engine", "kokoro"]
    assert speech.main([*command, "--voices", "af_nova", "af_navo", "af_sky"]) == 2
    message = capsys.readouterr().err
    assert "'af_nova' is held out" in message
    assert "'af_navo' is unknown" in message
    assert "--voice-packs" in message
    assert "'af_sky'" not in message


def test_kokoro_trains_with_24_voices():
    assert len(set(kokoro_model.VOICES) - HELD_OUT_SPEAKERS) == 24


# What is written


def test_clips_are_16_khz_opus_with_short_silences(tmp_path):
    run(tmp_path, Tones(), seconds=4)
    for row in rows(tmp_path):
        path = tmp_path / row.voice / f"{row.id}.opus"
        info = soundfile.info(path)
        assert (info.format, info.subtype, info.samplerate, info.channels) == ("OGG", "OPUS", 16000, 1)
        samples, rate = soundfile.read(path)
        assert len(samples) / rate == pytest.approx(row.seconds, abs=0.006)
        assert row.seconds == pytest.approx(1.6, abs=0.03)
        loud = np.flatnonzero(np.abs(samples) > 0.08)
        assert loud[0] / rate == pytest.approx(0.05, abs=0.02)
        assert (len(samples) - loud[-1]) / rate == pytest.approx(0.05, abs=0.02)
        assert np.abs(samples).max() == pytest.approx(0.8, abs=0.08)
        assert row.phonemes == row.text.upper()


def test_the_folder_is_a_corpus_that_training_reads(tmp_path):
    made = run(tmp_path, Tones(), seconds=4)
    assert {each.text for each in read_corpus(tmp_path)} == {row.text for row in rows(tmp_path)}
    assert made == len(rows(tmp_path)) == 3


def test_trimming_keeps_margins_and_gives_up_silence():
    tone = np.sin(np.arange(16000) / 5).astype(np.float32)
    assert len(trim(Clip(np.pad(tone, 16000), 16000))) == 16000 + 2 * 800
    assert len(trim(Clip(tone, 16000))) == 16000
    for nothing in (np.zeros(16000), np.zeros(0), np.full(100, np.nan)):
        assert trim(Clip(nothing, 16000)) is None


def test_a_line_without_sound_is_left_out(tmp_path, caplog):
    class Mute(Tones):
        def tone(self, line):
            if line.voice == "low":
                return None
            return super().tone(line)

    run(tmp_path, Mute(), seconds=1000)
    assert {row.voice for row in rows(tmp_path)} == {"high"}
    assert "no sound for" in caplog.text


# What a kill leaves behind


def test_a_killed_run_goes_on_with_what_is_not_done(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", Tones(lives=5))
    assert len(rows(tmp_path / "killed")) == 5
    again = Tones()
    run(tmp_path / "killed", again)
    run(tmp_path / "whole", Tones())
    assert rows(tmp_path / "killed") == rows(tmp_path / "whole")
    assert set(again.said).isdisjoint(row.id for row in rows(tmp_path / "killed")[:5])


def test_more_hours_only_add(tmp_path):
    run(tmp_path, Tones(), seconds=5)
    before = rows(tmp_path)
    assert run(tmp_path, Tones(), seconds=5) == 0
    run(tmp_path, Tones(), seconds=10)
    assert rows(tmp_path)[: len(before)] == before
    assert len(rows(tmp_path)) > len(before)


def test_half_written_clips_and_rows_do_not_count(tmp_path):
    run(tmp_path, Tones(), seconds=5)
    whole = rows(tmp_path)
    *kept, last = whole
    metadata = tmp_path / "metadata.tsv"
    metadata.write_bytes(metadata.read_bytes()[:-9])
    (tmp_path / last.voice / f"{last.id}.opus").write_bytes(b"OggS")
    leftover = tmp_path / kept[0].voice / ".writing-abc.opus"
    leftover.write_bytes(b"OggS")

    again = Tones()
    run(tmp_path, again, seconds=5)
    assert again.said == [last.id]
    assert rows(tmp_path) == whole
    assert soundfile.info(tmp_path / last.voice / f"{last.id}.opus").duration == pytest.approx(1.6, abs=0.03)
    assert not leftover.exists()


def test_a_clip_is_in_place_before_its_row(tmp_path, monkeypatch):
    def die(*_):
        raise KeyboardInterrupt

    with SpeechFolder(tmp_path) as folder:
        monkeypatch.setattr(folder, "_append", die)
        with pytest.raises(KeyboardInterrupt):
            make(Tones(), lines(), folder, hours=1, batch=1)
    assert len(list(tmp_path.glob("*/*.opus"))) == 1
    assert rows(tmp_path) == []


def test_one_process_writes_at_a_time(tmp_path):
    with SpeechFolder(tmp_path), pytest.raises(RunLockedError, match="Another process"):
        SpeechFolder(tmp_path).__enter__()
    with SpeechFolder(tmp_path) as folder:
        assert folder.ids == set()


@pytest.mark.parametrize(
    "content", ["id\tvoice\n", "a\tlow\t1.5\ttext\tphonemes\n", "id\tvoice\tseconds\ttext\tphonemes\na\tlow\n"]
)
def test_a_table_that_is_not_ours_is_refused_and_kept(tmp_path, content):
    metadata = tmp_path / "metadata.tsv"
    metadata.write_text(content)
    with pytest.raises(DataError, match=re.escape(str(metadata))):
        SpeechFolder(tmp_path).__enter__()
    assert metadata.read_text() == content


# The command


@pytest.fixture
def fake_engine(monkeypatch):
    pytest.importorskip("piper")
    engine = Tones()
    monkeypatch.setattr(speech, "PiperEngine", lambda threads: engine)
    return engine


def test_the_command_skips_what_another_corpus_says(tmp_path, fake_engine):
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(TEXTS))
    command = ["--texts", str(texts), "--engine", "piper", "--threads", "1"]
    assert speech.main([*command, "--out", str(tmp_path / "one"), "--hours", "0.005"]) == 0
    skip = ["--skip", str(tmp_path / "one" / "metadata.tsv")]
    assert speech.main([*command, "--out", str(tmp_path / "two"), "--hours", "0.005", *skip]) == 0
    one, two = rows(tmp_path / "one"), rows(tmp_path / "two")
    assert {row.voice for row in one + two} == {"piper_joe"}
    assert {row.text for row in one}.isdisjoint(row.text for row in two)


def test_the_command_says_when_the_texts_end(tmp_path, fake_engine, capsys):
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(TEXTS[:3]))
    command = ["--texts", str(texts), "--engine", "piper", "--out", str(tmp_path / "out"), "--hours", "1"]
    assert speech.main(command) == 1
    assert "give more --texts" in capsys.readouterr().err
    texts.unlink()
    assert speech.main(command) == 2
    assert str(texts) in capsys.readouterr().err


def test_a_voice_pack_that_is_missing_or_cut_is_named(tmp_path):
    pack = tmp_path / "af_sky.bin"
    with pytest.raises(ConfigError, match="npm pack"):
        kokoro_model.Kokoro(tmp_path, ["af_sky"], threads=1)
    pack.write_bytes(b"0" * 1000)
    with pytest.raises(ConfigError, match=re.escape(str(pack))):
        kokoro_model.Kokoro(tmp_path, ["af_sky"], threads=1)


# Phonemes


@pytest.mark.real
def test_piper_says_a_line(tmp_path):
    pytest.importorskip("piper")
    texts = tmp_path / "texts.txt"
    texts.write_text("The harbour lights came on one by one.\n")
    command = ["--texts", str(texts), "--engine", "piper", "--threads", "1", "--hours", "0.0001"]
    assert speech.main([*command, "--out", str(tmp_path / "out")]) == 0
    (row,) = rows(tmp_path / "out")
    assert 1.5 < row.seconds < 4
    assert row.phonemes == phonemize(row.text)
