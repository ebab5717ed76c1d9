from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.sampling import stratified_sample
from tts_eval.types import Request

strata = st.lists(st.tuples(st.sampled_from("gh"), st.sampled_from("abcd")), min_size=1, max_size=60)


def requests_of(pairs: list[tuple[str, str]]) -> list[Request]:
    return [Request(id=str(i), text="x", group=group, speaker=speaker) for i, (group, speaker) in enumerate(pairs)]


@settings(deadline=None)
@given(pairs=strata, data=st.data())
def test_each_stratum_has_its_share_and_the_order_stays(pairs, data):
    requests = requests_of(pairs)
    size = data.draw(st.integers(1, len(requests)))
    sample = stratified_sample(requests, size)
    assert len(sample) == size
    positions = [int(request.id) for request in sample]
    assert positions == sorted(set(positions))
    whole, taken = Counter(pairs), Counter((request.group, request.speaker) for request in sample)
    for stratum, count in whole.items():
        assert abs(taken[stratum] - size * count / len(pairs)) < 2


@settings(deadline=None)
@given(pairs=strata, data=st.data())
def test_a_smaller_sample_is_part_of_a_larger_one(pairs, data):
    requests = requests_of(pairs)
    small = data.draw(st.integers(1, len(requests)))
    ids = {request.id for request in stratified_sample(requests, small)}
    assert ids <= {request.id for request in stratified_sample(requests, len(requests) - (len(requests) - small) // 2)}


def test_groups_take_turns_where_strata_are_many():
    requests = requests_of([(group, speaker) for group in "gh" for speaker in "abcdefghij" for _ in range(7)])
    for size in (2, 4, 10):
        assert Counter(request.group for request in stratified_sample(requests, size)) == {
            "g": size // 2,
            "h": size // 2,
        }


def test_the_seed_decides():
    requests = requests_of([("g", "a")] * 50)
    assert stratified_sample(requests, 10) == stratified_sample(requests, 10, seed=0)
    assert stratified_sample(requests, 10) != stratified_sample(requests, 10, seed=1)
