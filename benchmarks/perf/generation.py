"""How much faster the generation engine makes N samples of one prompt than transformers' `generate`.

Three ways to N rows of the same model, prompt, sampling and number of tokens: the engine; one call of
`generate(num_return_sequences=N)`; N calls of `generate`. Each round times all three, the order
turning from round to round; a ratio is the median over rounds of the ratio within a round. The model
is random and its end token is switched off, so that every row has exactly as many tokens.
Both sides may say any token that Llasa may: for transformers that is its whole vocabulary, for the
engine the speech tokens (its output matrix is cut to them).

    python -m benchmarks.perf.generation                                      # llasa-nano's size, on a CPU
    python -m benchmarks.perf.generation --config llasa-1b --device cuda      # Llasa-1B's size, bfloat16

Prefill is part of every time; codecs are not. The N single calls are sampled: `--singles` of them are
timed and scaled to N. The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from tts_eval.execution import available_cores
from tts_eval.synthesizers.engine.engine import Engine
from tts_eval.synthesizers.engine.head import Opening, Start
from tts_eval.synthesizers.engine.token_head import TokenHead
from tts_eval.synthesizers.engine.transformer import from_llama
from tts_eval.types import Job, Request, Sampling

LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 500000.0, "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Size:
    """A model to be made up."""

    text_tokens: int
    codes: int
    settings: dict[str, Any]


SIZES = {
    "llasa-nano": Size(
        904, 4096,
        {"hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 8, "num_attention_heads": 4,
         "num_key_value_heads": 4, "tie_word_embeddings": True},
    ),
    "llasa-1b": Size(
        128_264, 65_536,
        {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32,
         "num_key_value_heads": 8, "head_dim": 64, "rope_parameters": LLAMA3, "tie_word_embeddings": True},
    ),
}  # fmt: skip


def make_model(size: Size, device: str, dtype: torch.dtype) -> Any:
    """A random Llama of that size."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=size.text_tokens + size.codes, max_position_embeddings=2048, bos_token_id=None, eos_token_id=None,
        **size.settings,
    )  # fmt: skip
    with torch.device(device):
        model: torch.nn.Module = LlamaForCausalLM(config)
    return model.to(dtype).eval()


class Contest:
    """The same work, three ways."""

    def __init__(self, size: Size, options: argparse.Namespace) -> None:
        self._options = options
        self._dtype = getattr(torch, options.dtype or ("bfloat16" if options.device == "cuda" else "float32"))
        self._model = make_model(size, options.device, self._dtype)
        taken = copy.deepcopy(self._model)
        self._embedding = taken.model.embed_tokens.weight.detach()
        head = TokenHead(
            self._embedding, taken.lm_head.weight.detach(), first=size.text_tokens, codes=size.codes, end=None
        )
        no_codec: Any = None
        self._engine = Engine(from_llama(taken, 2048), head, no_codec, embedding=self._embedding)
        draw = torch.Generator().manual_seed(0)
        self._prompt = torch.randint(0, size.text_tokens + size.codes, (options.prompt,), generator=draw)
        self._sampling = Sampling(temperature=options.temperature, top_p=options.top_p, max_seconds=1e9)

    def engine(self) -> None:
        """The engine, N rows."""
        opening = Opening(self._engine.embed(self._prompt.tolist()), None, "")
        request = Request(id="r", text="")
        jobs = [Job(request=request, index=i, seed=i, sampling=self._sampling) for i in range(self._options.n)]
        generation = self._engine.begin([Start(job, opening, self._options.tokens) for job in jobs])
        generation.advance(self._options.tokens)
        if generation.spent.tokens != self._options.n * self._options.tokens:
            raise AssertionError("a row ended early")

    def together(self) -> None:
        """One call of transformers' `generate` for N rows."""
        self._generate(self._options.n)

    def singles(self) -> None:
        """Some of N calls of `generate`, one row each."""
        for _ in range(self._options.singles):
            self._generate(1)

    def _generate(self, rows: int) -> None:
        options = self._options
        ids = self._prompt[None].to(options.device)
        with torch.inference_mode():
            made = self._model.generate(
                ids, attention_mask=torch.ones_like(ids), do_sample=True, temperature=options.temperature,
                top_p=options.top_p, top_k=0, max_new_tokens=options.tokens, min_new_tokens=options.tokens,
                num_return_sequences=rows, pad_token_id=0,
            )  # fmt: skip
        if made.shape != (rows, options.prompt + options.tokens):
            raise AssertionError(f"generate made {tuple(made.shape)}")


def seconds(work: Callable[[], None], clock: Callable[[], float]) -> float:
    """Seconds of one call, by that clock."""
    started = clock()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return clock() - started


def measure(contest: Contest, options: argparse.Namespace) -> dict[str, Any]:
    """Tokens per second of each way, and the ratios of the engine to the other two."""
    ways = {"engine": contest.engine, "together": contest.together, "singles": contest.singles}
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    scale = {"engine": 1.0, "together": 1.0, "singles": options.n / options.singles}
    for work in ways.values():
        work()
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(options.rounds):
        names = list(ways)
        for way in names[turn % 3 :] + names[: turn % 3]:
            taken[way].append(seconds(ways[way], clock) * scale[way])
    tokens = options.n * options.tokens
    ratio = {
        way: statistics.median(slow / fast for slow, fast in zip(taken[way], taken["engine"], strict=True))
        for way in ("together", "singles")
    }
    return {
        **{f"{way}_tokens_per_second": round(tokens / statistics.median(times), 1) for way, times in taken.items()},
        **{f"{way}_seconds": [round(value, 3) for value in times] for way, times in taken.items()},
        "ratio_to_together": round(ratio["together"], 3),
        "ratio_to_singles": round(ratio["singles"], 3),
    }


def main() -> None:
    """Measure, print a table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", choices=list(SIZES), default="llasa-nano")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="")
    parser.add_argument("--n", type=int, default=16, help="rows")
    parser.add_argument("--prompt", type=int, default=250, help="tokens of the prompt")
    parser.add_argument("--tokens", type=int, default=150, help="tokens of each row")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--singles", type=int, default=2, help="single calls that are timed per round")
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--top-p", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument(
        "--clock", choices=["wall", "cpu"], default="wall",
        help="cpu: time of this process, for machines that others use too; take --threads 1 with it",
    )  # fmt: skip
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    result = measure(Contest(SIZES[options.config], options), options)
    device = torch.cuda.get_device_name() if options.device == "cuda" else f"CPU, {options.threads} threads"
    print(f"{options.config} on {device}: {options.n} rows of {options.tokens} tokens after {options.prompt}")
    for way, label in (
        ("engine", "engine"),
        ("together", f"generate(num_return_sequences={options.n})"),
        ("singles", f"{options.n} calls of generate"),
    ):
        ratio = "" if way == "engine" else f"   the engine is {result[f'ratio_to_{way}']:.2f}x as fast"
        print(f"  {label:36} {result[f'{way}_tokens_per_second']:9.0f} tokens/s{ratio}")
    print(json.dumps({**vars(options), "on": device, "torch": torch.__version__, **result}))


if __name__ == "__main__":
    main()
