"""Where the data of each suite come from: address, size, licence, what may be fetched, who judges in papers."""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmarks.download import Download
from benchmarks.librispeech import TASKS
from tts_eval.errors import ConfigError
from tts_eval.registry import parse_spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The card of a suite's data."""

    title: str
    home: str
    size: str
    licence: str
    how: str
    """What to do where nothing is fetched, or what is."""
    official_judges: tuple[str, ...] = ()
    """Verifier specs as close to the papers' as there are."""
    downloads: tuple[Download, ...] = ()


_ARCHIVES = {
    "test-clean": (346_663_984, "39fde525e59672dc6d1551919b1478f724438a95aa55f874b576be21967e6c23"),
    "test-other": (328_757_843, "d09c181bba5cf717b3dee7d4d592af11a3ee3a09e08ae025c5506f6ebe961c29"),
    "dev-clean": (337_926_286, "76f87d090650617fca0cac8f88b9416e0ebf80350acb97b343a85fa903728ab3"),
    "dev-other": (314_305_928, "12661c48e8c3fe1de2c1caa4c3e135193bfb1811584f11f569dd12645aa84365"),
}
_SIM = "speaker:wavlm_large_finetune.pth"
_EMOTION = ("emotion:emotion2vec", "emotion:emotion2vec,target=prompt", _SIM)


def _librispeech(subset: str) -> Download:
    size, sha256 = _ARCHIVES[subset]
    return Download(
        url=f"https://www.openslr.org/resources/12/{subset}.tar.gz",
        size=size,
        sha256=sha256,
        target=subset,
        member=f"LibriSpeech/{subset}",
    )


_PAIRS = Download(
    url="https://raw.githubusercontent.com/SWivid/F5-TTS/ff690b7ffb82b92e42b6a2bb4e5b16c5b9046d14/data/"
    "librispeech_pc_test_clean_cross_sentence.lst",
    size=222_318,
    sha256="09811d521effa4eeb1da655f7379de97343b2f5ea86d829ec7ccb8656758a10f",
    target="librispeech_pc_test_clean_cross_sentence.lst",
)

SOURCES: dict[str, Source] = {
    "seed-tts-eval": Source(
        title="Seed-TTS-Eval: en 1,088, zh 2,020, zh-hard 400 rows",
        home="https://github.com/BytedanceSpeech/seed-tts-eval",
        size="1.2 GB",
        licence="Common Voice CC0 (en); DiDiSpeech, for research (zh)",
        how="The page links to an archive on Google Drive, which wants a browser. Unpack it; DIR is the folder "
        "with en/ and zh/.",
        official_judges=(
            "asr:transformers:openai/whisper-large-v3:seed-tts@1",
            "asr:funasr:paraformer-zh:seed-tts@1 (zh)",
            _SIM,
        ),
    ),
    "librispeech": Source(
        title="LibriSpeech (OpenSLR 12), utterances of 4-10 s",
        home="https://www.openslr.org/12",
        size="test-clean 347 MB",
        licence="CC BY 4.0",
        how="DIR gets test-clean/ (or dev-clean, dev-other, test-other, as the suite says); the speech comes as FLAC.",
        official_judges=("asr:transformers:facebook/hubert-large-ls960-ft:librispeech@1", _SIM),
        downloads=(_librispeech("test-clean"),),
    ),
    "librispeech-pc": Source(
        title="LibriSpeech-PC test-clean, the 1,127 pairs of F5-TTS",
        home="https://github.com/SWivid/F5-TTS/tree/main/data",
        size="347 MB and a list of 0.2 MB",
        licence="CC BY 4.0 (LibriSpeech, LibriSpeech-PC)",
        how="DIR gets the list and test-clean/.",
        official_judges=("asr:FASTER-WHISPER-LARGE-V3-FOLDER:exact:f5@1", _SIM),
        downloads=(_PAIRS, _librispeech("test-clean")),
    ),
    "esd": Source(
        title="ESD, Emotional Speech Dataset: 10 English, 10 Mandarin speakers, 5 emotions",
        home="https://github.com/HLTSingapore/Emotional-Speech-Data",
        size="2.4 GB",
        licence="for research only, under a signed licence",
        how="Sign the form on that page; nothing is fetched for you. DIR is the archive's folder "
        "'Emotion Speech Dataset', with 0001/ to 0020/.",
        official_judges=_EMOTION,
    ),
    "ravdess": Source(
        title="RAVDESS, speech: 24 actors, 8 emotions, 1,440 clips",
        home="https://zenodo.org/records/1188976",
        size="208 MB (Audio_Speech_Actors_01-24.zip)",
        licence="CC BY-NC-SA 4.0",
        how="Download that one zip file and unpack it; DIR is the folder with Actor_01/ to Actor_24/.",
        official_judges=_EMOTION,
    ),
}


def source_of(spec: str) -> Source:
    """The card for a suite; for another subset of LibriSpeech, with its archive.

    Raises:
        ConfigError: the suite is built in, or the user's own.
    """
    name, argument = parse_spec(spec)
    if name not in SOURCES:
        raise ConfigError(
            [f"There is nothing to prepare for suite '{spec}'. Suites with data to get: {', '.join(SOURCES)}."]
        )
    source = SOURCES[name]
    words = [word.strip() for word in argument.split(",")]
    subset = next((word for word in words if word and word not in TASKS), None)
    if name != "librispeech" or subset is None:
        return source
    if subset not in _ARCHIVES:
        how = (
            f"DIR gets {subset}/. Its archive is not known here: fetch it from that page (Mini LibriSpeech: "
            "https://www.openslr.org/31) and unpack it."
        )
        return replace(source, size="as that page says", how=how, downloads=())
    return replace(source, size=f"{subset} {_ARCHIVES[subset][0] / 1e6:.0f} MB", downloads=(_librispeech(subset),))
