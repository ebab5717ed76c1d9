import gc
from pathlib import Path

import pytest

from tts_eval.loaded import once, place_of


class Model:
    pass


def test_a_model_is_loaded_once_as_long_as_somebody_holds_it():
    made = []
    first = once(lambda: made.append(1) or Model(), "loaded", "a")
    assert once(lambda: made.append(1) or Model(), "loaded", "a") is first
    assert len(made) == 1
    del first
    gc.collect()
    once(lambda: made.append(1) or Model(), "loaded", "a")
    assert len(made) == 2


def test_any_part_of_the_key_makes_another_model():
    first, *others = [once(Model, *key) for key in (("kind", 1), ("kind", 2), ("other", 1), ("kind",))]
    assert all(other is not first for other in others)
    assert len({id(model) for model in (first, *others)}) == 4


def test_what_lies_at_a_path_now_decides(tmp_path: Path):
    folder, file = tmp_path / "model", tmp_path / "model" / "weights.bin"
    folder.mkdir()
    file.write_bytes(b"one")
    for place in (folder, file):
        before = once(Model, Model, place)
        assert once(Model, Model, place.parent / "." / place.name) is before
        file.write_bytes(file.read_bytes() + b"more")
        assert once(Model, Model, place) is not before


def test_a_link_in_a_folder_may_lead_nowhere(tmp_path: Path):
    (tmp_path / "notes").symlink_to(tmp_path / "gone")
    before = once(Model, Model, tmp_path)
    assert once(Model, Model, tmp_path) is before
    (tmp_path / "gone").write_text("here")
    assert once(Model, Model, tmp_path) is not before


def test_a_failure_is_not_remembered():
    def fail() -> Model:
        raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        once(fail, "failing")
    assert isinstance(once(Model, "failing"), Model)


def test_loading_may_load(tmp_path: Path):
    def outer() -> Model:
        model = Model()
        model.inner = once(Model, "inner")
        return model

    assert once(outer, "outer").inner is not None


def test_a_name_is_a_path_only_where_something_lies(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (place_of("base"), place_of("")) == ("base", "")
    (tmp_path / "base").mkdir()
    assert place_of("base") == Path("base")


def test_a_codec_that_synthesizer_and_verifier_use_is_loaded_once():
    import torch

    from tts_eval import weights
    from tts_eval.hub import Source
    from tts_eval.synthesizers.llasa.loading import load_codec

    source = Source(str(weights.bundled("llasa-nano").folder / "codec"), "")
    first = load_codec(source, torch.device("cpu"))
    assert load_codec(source, torch.device("cpu")).codec is first.codec
