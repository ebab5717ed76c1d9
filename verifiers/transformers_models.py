"""Speech recognisers that transformers carries, by folder or hub name: Whisper, and CTC models on wav2vec 2.0's frame.

config.json says which of the two a checkpoint is. Weights are float32, the number type of the
published protocols that use them; pickled ones are read with `weights_only`.
"""

from __future__ import annotations

from tts_eval.errors import ConfigError, MissingDependencyError
from tts_eval.hub import quiet_transformers
from verifiers.recognition import Recogniser
from verifiers.transformers_checkpoint import NAME, find, readable


def load(model: str) -> Recogniser:
    """The recogniser in a folder, or of that OWNER/NAME[@REVISION] on the Hugging Face hub.

    Raises:
        MissingDependencyError: transformers is not installed.
        ConfigError: the model is neither, or the checkpoint is no speech recogniser.
        WeightsError: the checkpoint cannot be downloaded or read.
    """
    try:
        import transformers  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError("transformers", f"{NAME}:{model}", "tts-eval-harness[transformers]") from error
    checkpoint = find(model)
    architectures = checkpoint.config.get("architectures") or [""]
    with readable(checkpoint.folder), quiet_transformers():
        if checkpoint.config.get("model_type") == "whisper":
            from verifiers.whisper_transformers import TransformersWhisperRecogniser

            return TransformersWhisperRecogniser(checkpoint)
        if architectures[0].endswith("ForCTC"):
            from verifiers.ctc import CTCRecogniser

            return CTCRecogniser(checkpoint)
    raise ConfigError(
        [
            f"{checkpoint.name} holds {architectures[0] or 'no model that its config.json names'}; {NAME} recognises "
            "speech with Whisper (WhisperForConditionalGeneration) or a CTC model (...ForCTC), e.g. "
            f"{NAME}:openai/whisper-small or {NAME}:facebook/hubert-large-ls960-ft."
        ]
    )
