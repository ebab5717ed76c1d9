import pytest
import torch

from tts_eval.recipes.guided_attention import REACH, watched_attention

pytest.importorskip("transformers")


@pytest.fixture
def llama():
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=20, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, attn_implementation="eager",
    )  # fmt: skip
    return LlamaForCausalLM(config)


def test_it_is_the_attention_that_the_model_pays(llama):
    ids = torch.randint(0, 20, (2, 12))
    place = torch.full((2, 12), -1)
    place[0, 9], place[1, 11] = 4, 1
    with watched_attention(llama, [0, 2]) as attention:
        paid = llama(ids, output_attentions=True).attentions
    wanted = [
        -(paid[layer][row, 0, query, max(0, key - REACH) : key + REACH + 1].sum().log())
        for layer in (0, 2)
        for row, query, key in ((0, 9, 4), (1, 11, 1))
    ]
    torch.testing.assert_close(attention.distance(place), torch.stack(wanted).mean())


def test_it_can_be_taught_and_the_model_is_left_as_it_was(llama):
    hooks = [len(layer.self_attn._forward_pre_hooks) for layer in llama.model.layers]
    ids = torch.randint(0, 20, (4, 16))
    place = torch.full((4, 16), -1)
    place[:, 8:15] = torch.arange(7)
    optimiser = torch.optim.Adam(llama.parameters(), lr=1e-2)
    distances = []
    for _ in range(30):
        with watched_attention(llama, [1]) as attention:
            llama(ids)
        loss = attention.distance(place)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        distances.append(loss.item())
    assert distances[-1] < 0.3 * distances[0]
    assert [len(layer.self_attn._forward_pre_hooks) for layer in llama.model.layers] == hooks


def test_a_batch_without_places_teaches_nothing(llama):
    with watched_attention(llama, [1]) as attention:
        llama(torch.randint(0, 20, (2, 5)))
    assert float(attention.distance(torch.full((2, 5), -1))) == 0.0
