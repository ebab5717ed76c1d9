import pytest

from tts_eval.errors import ConfigError
from tts_eval.synthesizers.openai.options import parse_options

URL = "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    ("address", "endpoint"),
    [
        (URL, f"{URL}/v1/audio/speech"),
        (f"{URL}/", f"{URL}/v1/audio/speech"),
        (f"{URL}/v1/", f"{URL}/v1/audio/speech"),
        (f"{URL}/api/v3", f"{URL}/api/v3/audio/speech"),
        (f"{URL}/v1/audio/speech", f"{URL}/v1/audio/speech"),
        ("https://[::1]:443/v1", "https://[::1]:443/v1/audio/speech"),
    ],
)
def test_an_address_may_end_anywhere(address, endpoint):
    assert parse_options(f"{address},model=m").endpoint == endpoint


def test_every_key_is_read():
    options = parse_options(
        f"{URL},model=a:b/c,voice=v,format=pcm,rate=8000,send=seed+prompt,concurrency=9,timeout=1.5,retries=0,revision=r"
    )
    found = (
        options.model, options.voice, options.format, options.rate, options.send, options.concurrency,
        options.timeout, options.retries, options.revision,
    )  # fmt: skip
    assert found == ("a:b/c", "v", "pcm", 8000, ("seed", "prompt"), 9, 1.5, 0, "r")


@pytest.mark.parametrize(
    ("argument", "problem"),
    [
        ("", "needs the address of a server"),
        ("model=m", "needs the address of a server"),
        ("ftp://x,model=m", "needs the address of a server"),
        ("http://[bad,model=m", "needs the address of a server"),
        (URL, "names no model"),
        (f"{URL},model=m,format=aac", "expected one of wav"),
        (f"{URL},model=m,rate=8000", "format=pcm alone"),
        (f"{URL},model=m,send=seed+luck", "joined by +"),
        (f"{URL},model=m,concurrency=0", "1 or more"),
        (f"{URL},model=m,timeout=0", "expected seconds"),
        (f"{URL},model=m,retries=-1", "0 or more"),
        (f"{URL},model=m,modl=x", "Did you mean 'model'"),
    ],
)
def test_what_is_wrong_is_said(argument, problem):
    with pytest.raises(ConfigError) as caught:
        parse_options(argument)
    assert problem in str(caught.value)


def test_all_problems_are_said_at_once():
    with pytest.raises(ConfigError) as caught:
        parse_options("nowhere,format=aac,concurrency=0")
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    "argument",
    [
        f"{URL},model=m,api_key=SECRET",
        "http://me:SECRET@host/v1,model=m",
        "http://me:SEC/RET-SECRET@host/v1,model=m",
        f"{URL}/v1?api-key=SECRET,model=m",
        f"{URL}/v1#SECRET,modl=m",
    ],
)
def test_a_key_in_the_spec_is_refused_and_not_repeated(argument):
    with pytest.raises(ConfigError) as caught:
        parse_options(argument)
    assert "OPENAI_API_KEY" in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_a_key_with_strange_characters_is_refused_and_not_repeated(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-\u00e9SECRET")
    with pytest.raises(ConfigError) as caught:
        parse_options(f"{URL},model=m")
    assert "SECRET" not in str(caught.value)


def identity(settings: str = "", url: str = URL) -> str:
    return parse_options(f"{url},model=m{settings}").identity


def test_the_identity_changes_with_whatever_decides_the_audio():
    settings = ["", ",voice=v", ",format=flac", ",format=pcm", ",format=pcm,rate=8000", ",send=seed", ",revision=2"]
    assert len({identity(each) for each in settings} | {identity(url="http://127.0.0.1:8001")}) == len(settings) + 1
    assert identity(",send=seed+prompt") == identity(",send=prompt+seed")


def test_the_identity_stays_with_how_it_is_asked_for():
    assert identity(",concurrency=2,timeout=3,retries=1") == identity()


def test_declared_weights_are_the_same_wherever_they_are_served():
    assert identity(",revision=2", "http://elsewhere:9") == identity(",revision=2")
