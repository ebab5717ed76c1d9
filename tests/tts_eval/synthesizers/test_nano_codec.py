"""The codec's arithmetic, on untrained weights: tokens, pieces, loudness, files."""

import json

import pytest
import torch

from tts_eval.errors import WeightsError
from tts_eval.synthesizers.nano_codec import CodecConfig, NanoCodec, ScalarQuantiser, loudness_gain

TINY = CodecConfig(
    encoder_width=32, encoder_blocks=1, decoder_width=24, decoder_blocks=2, frame_width=16, frame_blocks=3
)


def make_codec(config: CodecConfig = TINY) -> NanoCodec:
    """Random weights everywhere, the voice's included."""
    torch.manual_seed(0)
    codec = NanoCodec(config).eval()
    with torch.no_grad():
        for parameter in codec.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return codec


@pytest.fixture(scope="module")
def codec() -> NanoCodec:
    return make_codec()


def voices(rows: int) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.rand(rows, 256, generator=torch.manual_seed(1)), dim=1)


def noise(rows: int, samples: int) -> torch.Tensor:
    return 0.1 * torch.randn(rows, samples, generator=torch.manual_seed(2))


@pytest.mark.parametrize("levels", [(8, 8, 8, 8), (8, 5, 3), (2, 2)])
def test_every_token_is_a_point_and_every_point_its_token(levels):
    quantiser = ScalarQuantiser(levels)
    tokens = torch.arange(CodecConfig(levels=levels).codes)
    points = quantiser.points(tokens)
    assert points.unique(dim=0).shape == points.shape
    assert torch.equal(quantiser.codes(points), tokens)
    assert points.abs().max() <= 1


def test_quantised_points_are_on_the_grid_and_reach_every_level():
    quantiser = ScalarQuantiser((8, 5))
    points = quantiser(6 * torch.rand(2000, 2, generator=torch.manual_seed(0)) - 3)
    assert torch.equal(quantiser.points(quantiser.codes(points)), points)
    assert [len(column.unique()) for column in points.T] == [8, 5]


def test_the_gradient_passes_the_rounding():
    points = torch.zeros(3, 2, requires_grad=True)
    ScalarQuantiser((8, 5))(points).sum().backward()
    assert (points.grad > 0.5).all()


@pytest.mark.parametrize("rate", [25, 50])
def test_a_token_every_hop(rate):
    config = CodecConfig(codes_per_second=rate, encoder_blocks=1, decoder_blocks=1, frame_blocks=1)
    codec = NanoCodec(config)
    codes = codec.encode(noise(2, 16_001))
    assert config.hop == 16_000 // rate
    assert codes.shape == (2, rate + 1)
    assert codes.min() >= 0
    assert codes.max() < 4096
    assert codec.decode(codes, voices(2)).shape == (2, (rate + 1) * config.hop)


@pytest.mark.parametrize("piece", [1, 7, 30])
def test_pieces_with_context_equal_the_whole(codec, piece):
    codes = torch.randint(4096, (2, 50), generator=torch.manual_seed(3))
    whole = codec.decode(codes, voices(2))
    torch.testing.assert_close(in_pieces(codec, codes, piece, codec.receptive_frames), whole, atol=1e-4, rtol=0)


def test_less_context_does_not_do(codec):
    codes = torch.randint(4096, (2, 50), generator=torch.manual_seed(3))
    missing = in_pieces(codec, codes, 7, codec.receptive_frames // 2) - codec.decode(codes, voices(2))
    assert missing.abs().max() > 1e-3


def in_pieces(codec: NanoCodec, codes: torch.Tensor, piece: int, context: int) -> torch.Tensor:
    hop, parts = codec.config.hop, []
    for start in range(0, codes.shape[1], piece):
        first = max(0, start - context)
        end = min(codes.shape[1], start + piece)
        audio = codec.decode(codes[:, first : end + context], voices(2))
        parts.append(audio[:, (start - first) * hop : (end - first) * hop])
    return torch.cat(parts, dim=1)


def test_rows_do_not_depend_on_each_other(codec):
    codes = torch.randint(4096, (3, 20), generator=torch.manual_seed(3))
    together = codec.decode(codes, voices(3))
    torch.testing.assert_close(codec.decode(codes[1:2], voices(3)[1:2]), together[1:2], atol=1e-5, rtol=0)


def test_the_voice_is_heard(codec):
    codes = torch.randint(4096, (1, 20), generator=torch.manual_seed(3)).expand(2, -1)
    first, second = codec.decode(codes, voices(2))
    assert (first - second).abs().max() > 1e-4


def test_loudness_does_not_change_the_tokens(codec):
    audio = noise(2, 16_000) * torch.tensor([[1.0], [0.01]])
    assert torch.equal(codec.encode(audio), codec.encode(5 * audio))


def test_loudness_is_that_of_the_loud_parts():
    audio = noise(1, 16_000)
    gain = loudness_gain(audio)
    pauses = torch.cat([audio, torch.zeros(1, 16_000), audio], dim=1)
    torch.testing.assert_close(loudness_gain(pauses), gain, rtol=0.05, atol=0)
    assert loudness_gain(torch.zeros(1, 3_200)).item() == 1
    assert loudness_gain(torch.zeros(1, 3)).item() == 1


def test_silence_has_tokens_too(codec):
    assert codec.decode(codec.encode(torch.zeros(1, 6_400)), voices(1)).isfinite().all()


def test_a_saved_codec_comes_back(codec, tmp_path):
    codec.save(tmp_path / "exact", dtype=torch.float32)
    codec.save(tmp_path / "half")
    audio = noise(1, 16_000)
    codes = codec.encode(audio)
    exact, half = NanoCodec.load(tmp_path / "exact"), NanoCodec.load(tmp_path / "half")
    assert exact.config == TINY
    assert torch.equal(exact.encode(audio), codes)
    assert torch.equal(exact.decode(codes, voices(1)), codec.decode(codes, voices(1)))
    torch.testing.assert_close(half.decode(codes, voices(1)), codec.decode(codes, voices(1)), atol=1e-2, rtol=0)
    assert sorted(path.name for path in (tmp_path / "half").iterdir()) == ["config.json", "model.safetensors"]


@pytest.mark.parametrize("rate", [25, 50])
def test_the_default_codec_is_small(rate, tmp_path):
    codec = NanoCodec(CodecConfig(codes_per_second=rate))
    assert sum(parameter.numel() for parameter in codec.parameters()) < 5.5e6
    codec.save(tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 11e6


@pytest.mark.parametrize("change", [{"format": "other"}, {"levels": [4, 4]}, {"colour": "red"}])
def test_another_file_is_refused(codec, tmp_path, change):
    codec.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(WeightsError, match="nano codec"):
        NanoCodec.load(tmp_path)


def test_a_missing_or_pickled_file_is_refused(codec, tmp_path):
    with pytest.raises(WeightsError, match="nano codec"):
        NanoCodec.load(tmp_path)
    codec.save(tmp_path)
    torch.save(codec.state_dict(), tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match="nano codec"):
        NanoCodec.load(tmp_path)


def test_a_rate_that_does_not_divide_the_frames_is_refused():
    with pytest.raises(ValueError, match="use 25 or 50"):
        CodecConfig(codes_per_second=30)
