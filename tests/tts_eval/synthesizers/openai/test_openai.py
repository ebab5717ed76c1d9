"""Against a real server on 127.0.0.1."""

import base64
import io
import logging
import socket
import struct
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import numpy as np
import pytest
import soundfile
from speech_server import RATE, Reply, serving, tone, tone_wav

from tts_eval.audio import Clip, encode_audio
from tts_eval.errors import SynthesisError
from tts_eval.limits import limit_notes
from tts_eval.synthesizers import load_synthesizer
from tts_eval.synthesizers.openai import client as client_module
from tts_eval.synthesizers.openai.client import Client
from tts_eval.synthesizers.openai.options import parse_options
from tts_eval.synthesizers.openai.synthesizer import OpenAISynthesizer
from tts_eval.types import FailureKind, FinishReason, Job, Prompt, Request, Sampling

HELLO = Request(id="hello", text="Good morning.")
SECRET = "sk-not-to-be-seen-0123456789"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def patient(url: str, settings: str = "", waits: list[float] | None = None) -> OpenAISynthesizer:
    """A synthesizer that notes how long it would wait instead of waiting."""
    options = parse_options(f"{url},model=m{settings}")
    return OpenAISynthesizer(options, Client(options, (waits if waits is not None else []).append))


def say(reply: Reply, make_jobs, settings: str = "", sampling: Sampling | None = None):
    with serving(lambda body, number: reply) as server:
        (candidate,) = patient(server.url, settings).generate(make_jobs([HELLO], 1, sampling))
    return candidate


def test_text_model_and_voice_go_out_and_audio_comes_back(make_jobs):
    with serving(lambda body, number: Reply(tone_wav())) as server:
        made = load_synthesizer(f"openai:{server.url},model=m,voice=v").generate(make_jobs([HELLO], 2))
    assert server.bodies == [{"model": "m", "voice": "v", "input": "Good morning.", "response_format": "wav"}] * 2
    assert server.paths == ["/v1/audio/speech"] * 2
    assert server.keys == [None, None]
    for candidate in made:
        assert candidate.finish is FinishReason.EOS
        assert candidate.clip.rate == RATE
        assert candidate.cost.audio_seconds == candidate.clip.seconds == pytest.approx(0.5)
        assert candidate.cost.retries == 0
        assert candidate.cost.generator_seconds > 0


def test_a_job_goes_along_as_far_as_it_is_told_to(make_jobs):
    prompt = Prompt(audio=Clip(np.full(160, 0.25, dtype=np.float32), 16_000), transcript="Hi.", style="cheerful")
    request = Request(id="r", text="x", language="de", prompt=prompt)
    sampling = Sampling(temperature=0.5, top_p=0.75, top_k=9, repetition_penalty=1.5)
    (job,) = make_jobs([request], 1, sampling)
    send = ",send=seed+temperature+top_p+top_k+repetition_penalty+language+style+prompt"
    with serving(lambda body, number: Reply(tone_wav())) as server:
        patient(server.url, send).generate([job])
        patient(server.url, ",send=temperature").generate([job])
    everything, little = server.bodies
    audio = everything.pop("ref_audio")
    assert everything == {
        "model": "m", "input": "x", "response_format": "wav", "seed": job.seed % 2**31, "temperature": 0.5,
        "top_p": 0.75, "top_k": 9, "repetition_penalty": 1.5, "language": "de", "instructions": "cheerful",
        "ref_text": "Hi.",
    }  # fmt: skip
    assert little == {"model": "m", "input": "x", "response_format": "wav", "temperature": 0.5}
    head, _, data = audio.partition(",")
    assert head == "data:audio/wav;base64"
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(data)))
    assert rate == 16_000
    np.testing.assert_allclose(samples, np.full(160, 0.25))


def test_every_candidate_has_its_own_seed(make_jobs):
    with serving(lambda body, number: Reply(tone_wav())) as server:
        patient(server.url, ",send=seed").generate(make_jobs([HELLO], 4))
    assert len({body["seed"] for body in server.bodies}) == 4


@pytest.mark.parametrize("concurrency", [1, 3])
def test_no_more_requests_are_under_way_than_allowed(make_jobs, concurrency):
    full = threading.Barrier(concurrency)

    def answer(body, number):
        full.wait(timeout=10)  # passes only while that many are under way
        return Reply(tone_wav(0.1))

    with serving(answer) as server:
        made = patient(server.url, f",concurrency={concurrency}").generate(make_jobs([HELLO], 6))
    assert all(candidate.clip for candidate in made)
    assert server.most_under_way == concurrency


def test_candidates_come_back_in_order_whatever_finishes_first(make_jobs):
    requests = [Request(id=str(words), text="word " * words) for words in (4, 3, 2, 1)]
    with serving(lambda body, number: Reply(tone_wav(0.1 * len(body["input"].split())))) as server:
        made = patient(server.url).generate(make_jobs(requests, 1))
    assert [round(candidate.clip.seconds, 1) for candidate in made] == [0.4, 0.3, 0.2, 0.1]


def test_a_busy_server_is_asked_again_when_it_says_and_that_is_counted(make_jobs):
    replies = {1: Reply(b"slow down", 429, {"Retry-After": "7"}), 2: Reply(b"", 503)}
    waits: list[float] = []
    with serving(lambda body, number: replies.get(number, Reply(tone_wav()))) as server:
        (made,) = patient(server.url, waits=waits).generate(make_jobs([HELLO], 1))
    assert made.clip is not None
    assert made.cost.retries == 2
    assert waits == [7.0, client_module.FIRST_WAIT * 2]


def test_retry_after_may_be_a_date(make_jobs):
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    waits: list[float] = []
    with serving(
        lambda body, number: Reply(b"", 429, {"Retry-After": soon}) if number == 1 else Reply(tone_wav())
    ) as s:
        patient(s.url, waits=waits).generate(make_jobs([HELLO], 1))
    assert len(waits) == 1
    assert 20 < waits[0] <= 30


@pytest.mark.parametrize("nonsense", ["soon", "nan", "-5", "Sat, 99 Xxx"])
def test_a_retry_after_that_says_nothing_is_passed_over(make_jobs, nonsense):
    replies = {1: Reply(b"", 429, {"Retry-After": nonsense})}
    waits: list[float] = []
    with serving(lambda body, number: replies.get(number, Reply(tone_wav()))) as server:
        (made,) = patient(server.url, waits=waits).generate(make_jobs([HELLO], 1))
    assert made.clip is not None
    assert waits == [client_module.FIRST_WAIT]


def test_nobody_waits_for_an_hour(make_jobs):
    waits: list[float] = []
    with serving(lambda body, number: Reply(b"", 429, {"Retry-After": "3600"})) as server:
        (made,) = patient(server.url, waits=waits).generate(make_jobs([HELLO], 1))
    assert waits == []
    assert "3600 s" in made.failure.message


@pytest.mark.parametrize(("retries", "asked"), [(0, 1), (2, 3)])
def test_a_server_that_stays_broken_gives_a_failure_that_names_everything(make_jobs, retries, asked):
    waits: list[float] = []
    with serving(lambda body, number: Reply(b"out of memory", 500)) as server:
        (made,) = patient(server.url, f",retries={retries}", waits).generate(make_jobs([HELLO], 1))
    assert len(server.bodies) == asked
    assert waits == [0.5, 1.0][:retries]
    assert made.finish is FinishReason.FAILED
    assert made.failure.kind is FailureKind.SYNTHESIS
    assert made.cost.retries == retries
    for part in ("'hello'", server.url, "HTTP 500", "out of memory"):
        assert part in made.failure.message


def test_as_many_retries_as_were_asked_for_a_minute_apart_at_most(make_jobs):
    waits: list[float] = []
    with serving(lambda body, number: Reply(b"", 500)) as server:
        (made,) = patient(server.url, ",retries=12", waits).generate(make_jobs([HELLO], 1))
    assert len(server.bodies) == 13
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, *[60.0] * 5]
    assert "too long" not in made.failure.message


def test_a_connection_that_never_comes_about_is_tried_again_and_called_so(make_jobs, monkeypatch):
    import httpx2

    def stream(*args, **kwargs):
        raise httpx2.ConnectTimeout("nobody there")

    waits: list[float] = []
    synthesizer = patient("http://127.0.0.1:9", ",timeout=300,retries=2", waits)
    monkeypatch.setattr(synthesizer._client._http, "stream", stream)
    (made,) = synthesizer.generate(make_jobs([HELLO], 1))
    assert "no connection within 10 s (sent 3 times)" in made.failure.message
    assert waits == [0.5, 1.0]


def test_what_will_never_work_is_asked_once(make_jobs):
    with serving(lambda body, number: Reply(b'{"error": "no such voice"}', 400)) as server:
        (made,) = patient(server.url).generate(make_jobs([HELLO], 1))
    assert len(server.bodies) == 1
    assert "no such voice" in made.failure.message


def test_one_bad_request_leaves_the_others_alone(make_jobs):
    requests = [Request(id="good", text="good"), Request(id="bad", text="bad"), Request(id="fine", text="fine")]
    with serving(lambda body, n: Reply(b"", 422) if body["input"] == "bad" else Reply(tone_wav())) as server:
        made = patient(server.url).generate(make_jobs(requests, 1))
    assert [candidate.failure is None for candidate in made] == [True, False, True]


def test_silence_on_the_line_is_a_timeout_and_not_sent_again(make_jobs):
    end = threading.Event()
    with serving(lambda body, number: Reply(b"" if end.wait(10) else b"late")) as server:
        (made,) = patient(server.url, ",timeout=0.2").generate(make_jobs([HELLO], 1))
        end.set()
    assert made.failure.kind is FailureKind.SYNTHESIS
    assert "timeout: no complete answer within 0.2 s" in made.failure.message
    assert len(server.bodies) == 1


def test_a_connection_that_breaks_in_the_middle_is_tried_again(make_jobs):
    wav = tone_wav()
    with serving(lambda body, n: Reply(wav[:100], announced=len(wav)) if n == 1 else Reply(wav)) as server:
        (made,) = patient(server.url).generate(make_jobs([HELLO], 1))
    assert made.clip is not None
    assert made.cost.retries == 1


@pytest.mark.parametrize("container", ["WAV", "FLAC", "OGG", "MP3"])
def test_audio_that_lacks_its_end_is_no_audio(make_jobs, container):
    buffer = io.BytesIO()
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE)
    soundfile.write(buffer, noise, RATE, format=container)
    whole = buffer.getvalue()
    assert say(Reply(whole), make_jobs).clip is not None
    made = say(Reply(whole[: len(whole) // 2]), make_jobs)
    assert made.failure.kind is FailureKind.UNREADABLE


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF, 0x7FFFFFFF])
def test_a_streamed_wav_that_does_not_know_its_length_is_heard_whole(make_jobs, length):
    wav = bytearray(tone_wav())
    data = wav.index(b"data")
    wav[4:8] = wav[data + 4 : data + 8] = struct.pack("<I", length)
    assert say(Reply(bytes(wav)), make_jobs).clip.seconds == pytest.approx(0.5)


def test_a_streamed_wav_may_have_a_note_of_odd_length(make_jobs):
    wav = bytearray(tone_wav())
    data = wav.index(b"data")
    wav[4:8] = wav[data + 4 : data + 8] = struct.pack("<I", 0)
    note = b"LIST" + struct.pack("<I", 5) + b"hello\0"
    assert say(Reply(bytes(wav[:data]) + note + bytes(wav[data:])), make_jobs).clip.seconds == pytest.approx(0.5)


def test_a_wav_that_is_whole_need_not_know_how_long_the_file_is(make_jobs):
    wav = bytearray(tone_wav())
    wav[4:8] = struct.pack("<I", len(wav))  # eight too many
    assert say(Reply(bytes(wav)), make_jobs).clip.seconds == pytest.approx(0.5)
    wav[4:8] = b"\xff" * 4
    assert say(Reply(bytes(wav[:-2000])), make_jobs).failure.kind is FailureKind.UNREADABLE


def test_a_streamed_flac_is_heard_whole_or_not_at_all(make_jobs):
    flac = bytearray(encode_audio(tone(), "FLAC"))
    flac[21:26] = bytes([flac[21] & 0xF0, 0, 0, 0, 0])  # its number of samples: unknown
    assert say(Reply(bytes(flac)), make_jobs).clip.seconds == pytest.approx(0.5)
    assert say(Reply(bytes(flac[: len(flac) // 2])), make_jobs).failure.kind is FailureKind.UNREADABLE
    made = say(Reply(bytes(flac)), make_jobs, sampling=Sampling(max_seconds=0.25))
    assert (made.clip.seconds, made.finish) == (0.25, FinishReason.LENGTH)


@pytest.mark.parametrize("settings", ["", ",format=pcm"])
def test_an_error_that_claims_success_is_no_audio(make_jobs, settings):
    made = say(Reply(b'{"detail": "model is loading"}', content_type="application/json"), make_jobs, settings)
    assert made.failure.kind is FailureKind.UNREADABLE
    assert "model is loading" in made.failure.message
    assert "application/json" in made.failure.message


def test_garbage_and_nothing_have_names_of_their_own(make_jobs):
    assert say(Reply(b"\x00\x01 not audio" * 9), make_jobs).failure.kind is FailureKind.UNREADABLE
    assert say(Reply(b""), make_jobs).failure.kind is FailureKind.EMPTY


def test_pcm_has_the_rate_that_was_said(make_jobs):
    samples = np.array([0, 16384, -32768], dtype="<i2").tobytes()
    made = say(Reply(samples, content_type="audio/pcm"), make_jobs, ",format=pcm,rate=8000")
    assert made.clip.rate == 8000
    np.testing.assert_allclose(made.clip.samples, [0, 0.5, -1])
    odd = say(Reply(samples[:-1], content_type="audio/pcm"), make_jobs, ",format=pcm")
    assert odd.failure.kind is FailureKind.UNREADABLE


def test_a_clip_that_is_too_long_is_cut_and_says_so(make_jobs):
    made = say(Reply(tone_wav(2.0)), make_jobs, sampling=Sampling(max_seconds=1.0))
    assert made.finish is FinishReason.LENGTH
    assert made.clip.seconds == pytest.approx(1.0)


def test_an_answer_without_end_is_not_read_to_its_end(make_jobs, monkeypatch):
    monkeypatch.setattr(client_module, "MOST_BYTES", 1000)
    made = say(Reply(tone_wav()), make_jobs)
    assert made.failure.kind is FailureKind.SYNTHESIS
    assert "longer than" in made.failure.message


def test_a_prompt_that_cannot_be_read_is_that_candidates_failure(make_jobs, tmp_path):
    request = Request(id="r", text="x", prompt=Prompt(audio=tmp_path / "nowhere.wav"))
    with serving(lambda body, number: Reply(tone_wav())) as server:
        (made,) = patient(server.url, ",send=prompt").generate(make_jobs([request], 1))
    assert "nowhere.wav" in made.failure.message
    assert server.bodies == []


def test_nobody_at_the_address_is_said_before_a_run():
    with pytest.raises(SynthesisError, match=r"No server answers at http://127.0.0.1:9/v1/audio/speech"):
        load_synthesizer("openai:http://127.0.0.1:9,model=m")


def test_a_server_that_never_stops_talking_is_there():
    """A greeting without end is not read to its end."""
    gone = threading.Event()

    def talk(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            try:
                while not gone.wait(0.01):
                    connection.sendall(b"1\r\nx\r\n")
            except OSError:
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=talk, args=(listener,))
        thread.start()
        options = parse_options(f"http://127.0.0.1:{listener.getsockname()[1]},model=m")
        checking = threading.Thread(target=Client(options).check)
        checking.start()
        checking.join(timeout=5)
        is_done = not checking.is_alive()
        gone.set()
        thread.join()
        checking.join()
    assert is_done


def test_the_key_reaches_the_server_and_nothing_else(make_jobs, monkeypatch, caplog, capsys):
    monkeypatch.setenv("OPENAI_API_KEY", f"{SECRET}\n")
    caplog.set_level(logging.DEBUG)
    with serving(lambda body, number: Reply(f"bad key {SECRET}".encode(), 401)) as server:
        synthesizer = load_synthesizer(f"openai:{server.url},model=m")
        (made,) = synthesizer.generate(make_jobs([HELLO], 1))
    assert server.keys == [f"Bearer {SECRET}"]
    assert "HTTP 401" in made.failure.message
    said = [made.failure.message, caplog.text, *capsys.readouterr(), synthesizer.revision]
    said += [repr(parse_options(f"{server.url},model=m"))]
    assert not any(SECRET in text for text in said)
    errors = [
        Reply(f"your key: {SECRET}".encode(), content_type="application/json"),
        Reply(SECRET.encode()),  # no audio
        Reply(b"no audio", content_type=f"audio/{SECRET}"),
        Reply(b"x" * (client_module.EXCERPT - 9) + SECRET.encode(), 500),
    ]
    for error in errors:
        assert SECRET[:9] not in say(error, make_jobs, ",retries=0").failure.message


def test_a_redirect_does_not_take_the_key_elsewhere(make_jobs, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with serving(lambda body, number: Reply(tone_wav())) as elsewhere:
        moved = Reply(b"", 307, {"Location": f"{elsewhere.url}/audio/speech"})
        assert "HTTP 307" in say(moved, make_jobs).failure.message
    assert elsewhere.bodies == []


def test_what_is_not_sent_is_said():
    prompted = Request(id="p", text="x", prompt=Prompt(audio=Clip(np.zeros(9), 9)))

    def notes(settings: str) -> str:
        return " ".join(limit_notes(patient("http://127.0.0.1:9", settings), [prompted, HELLO]))

    assert "ignores the prompt audio of 1 of 2 requests" in notes("")
    assert "not reproducible" in notes("")
    assert "reproducible" not in notes(",send=seed")
    assert notes(",send=seed+prompt") == ""


def test_jobs_of_one_seed_differ_in_nothing_but_the_server(make_jobs):
    """The body depends on the job alone, whatever comes beside it."""
    jobs: list[Job] = make_jobs([HELLO], 3)
    with serving(lambda body, number: Reply(tone_wav(0.1))) as server:
        synthesizer = patient(server.url, ",send=seed,concurrency=1")
        synthesizer.generate(jobs)
        synthesizer.generate(jobs[::-1])
    assert server.bodies[:3] == server.bodies[3:][::-1]
