import pytest

from tts_eval.errors import ConfigError
from tts_eval.workers.resources import Node, Share, group_of, parse_resources, plan, require_stages

STAGES = ["synth", "asr:base", "speaker"]
SMALL = [Node(name="here", cpus=2.0, memory=16.0)]


def test_every_setting_is_taken():
    entry = {"actors": 4, "cpus": 2, "gpus": 0.25, "memory": 3, "threads": 5, "timeout": 60, "together": False}
    assert parse_resources({"asr": entry}) == {
        "asr": Share(actors=4, cpus=2.0, gpus=0.25, memory=3, threads=5, timeout=60)
    }


def test_threads_and_cpus_follow_each_other():
    shares = parse_resources({"a": {"actors": 1, "threads": 3}, "b": {"actors": 1, "cpus": 4}, "c": {"actors": 1}})
    assert [(share.cpus, share.threads) for share in shares.values()] == [(3.0, 3), (4.0, 4), (1.0, 1)]
    assert parse_resources({"a": {"actors": 1, "cpus": 0.25}})["a"].threads == 1


def test_all_mistakes_are_reported_at_once():
    with pytest.raises(ConfigError) as caught:
        parse_resources(
            {
                "asr": {"actors": 0, "gpu": 1},
                "synth": {"actors": 1, "gpus": 1.5, "memory": -1, "timeout": 0},
                "speaker": {"threads": 2},
                "rest": 3,
            }
        )
    text = str(caught.value)
    assert len(caught.value.problems) == 7
    assert "Did you mean 'gpus'?" in text and "actors is missing" in text and "a part of one GPU" in text


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [("gpus", -1, "0 or more"), ("memory", float("inf"), "0 or more"), ("cpus", "x", "0 or more"),
     ("timeout", 0, "above 0"), ("timeout", float("nan"), "above 0")],
)  # fmt: skip
def test_what_is_no_amount_is_refused_with_what_would_be(key, value, expected):
    with pytest.raises(ConfigError, match=f"asr: {key} is .*; expected a number .*{expected}"):
        parse_resources({"asr": {"actors": 1, key: value}})


def test_an_entry_of_its_own_goes_before_one_of_its_kind():
    assert group_of("asr:base", ["asr", "asr:base"]) == "asr:base"
    assert group_of("asr:tiny.en", ["asr", "asr:base"]) == "asr"
    assert group_of("speaker", ["asr"]) == "rest"


def test_without_a_file_one_worker_a_core_does_everything():
    assert plan({}, STAGES, SMALL) == {"rest": Share(actors=2, cpus=1.0, threads=1)}


def test_a_small_memory_has_fewer_workers_with_more_threads():
    (share,) = plan({}, STAGES, [Node(name="here", cpus=8.0, memory=6.5)]).values()
    assert (share.actors, share.threads) == (4, 2)


def test_without_a_file_one_worker_a_gpu_does_everything():
    nodes = [Node(name=name, cpus=16.0, gpus=2.0, memory=128.0) for name in "ab"]
    assert plan({}, STAGES, nodes) == {"rest": Share(actors=4, cpus=8.0, gpus=1.0, threads=8)}


def test_the_rest_gets_what_is_left():
    shares = parse_resources({"synth": {"actors": 1, "threads": 2}})
    assert plan(shares, STAGES, [Node(name="here", cpus=5.0, memory=64.0)])["rest"] == Share(
        actors=3, cpus=1.0, threads=1
    )
    everything = parse_resources({"synth": {"actors": 1}, "asr": {"actors": 1}, "speaker": {"actors": 1, "cpus": 0}})
    assert "rest" not in plan(everything, STAGES, SMALL)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"actors": 3, "cpus": 1}, r"takes 3 CPUs \(rest 3 x 1\), and Ray offers 2"),
        ({"actors": 1, "gpus": 0.5}, r"takes 0.5 GPUs \(rest 1 x 0.5\), and Ray offers 0"),
        ({"actors": 2, "memory": 9}, r"takes 18 GB of memory \(rest 2 x 9\), and Ray offers 16"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_sums(entry, message):
    with pytest.raises(ConfigError, match=message):
        plan(parse_resources({"rest": entry}), STAGES, SMALL)


def test_what_fits_in_all_but_on_no_node_is_refused():
    nodes = [Node(name="a", cpus=2.0), Node(name="b", cpus=2.0)]
    with pytest.raises(ConfigError, match=r"Worker 1 of 1 of 'rest' \(3 CPUs.*fits on no node"):
        plan(parse_resources({"rest": {"actors": 1, "cpus": 3}}), STAGES, nodes)


TEAM = {"synth": {"actors": 2, "threads": 2, "together": True}, "asr": {"actors": 2, "threads": 1, "together": True}}


def test_a_team_has_to_fit_on_a_node_as_a_whole():
    shares = parse_resources(TEAM)
    fitting = [Node(name="a", cpus=3.0), Node(name="b", cpus=3.0)]
    assert plan(shares, ["synth", "asr:base"], fitting) == shares
    unfit = [Node(name="a", cpus=2.0), Node(name="b", cpus=2.0), Node(name="c", cpus=2.0)]
    with pytest.raises(ConfigError, match=r"Team 1 of 2 of 'synth \+ asr' \(3 CPUs.*fits on no node.*together"):
        plan(shares, ["synth", "asr:base"], unfit)
    apart = parse_resources({name: {**entry, "together": False} for name, entry in TEAM.items()})
    assert plan(apart, ["synth", "asr:base"], unfit) == apart


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"asr": {"actors": 3, "together": True}}, "as many actors of each, got synth 2, asr 3"),
        ({"asr": {"actors": 2}}, r"only synth, .* of 'synth', whose workers speak, and of another"),
        ({"synth": {"actors": 2}}, r"only asr, .*Say it of 'synth'"),
        ({"asr": {"actors": 2, "cpus": 0, "together": True}}, "asr: together is true, and it takes no cpus"),
        ({"asr": {"actors": 2, "together": "yes"}}, "together is 'yes'; expected true or false"),
    ],
)
def test_teams_that_cannot_be(change, message):
    with pytest.raises(ConfigError, match=message):
        parse_resources(TEAM | change)


def test_cores_beside_a_gpu_are_left_to_who_needs_the_gpu():
    nodes = [Node(name="gpu", cpus=8.0, gpus=1.0), Node(name="cpu", cpus=8.0)]
    shares = parse_resources({"synth": {"actors": 1, "gpus": 1}, "rest": {"actors": 4, "cpus": 2}})
    assert plan(shares, STAGES, nodes) == shares
    many = parse_resources({"synth": {"actors": 2, "gpus": 1}, "rest": {"actors": 1, "cpus": 2}})
    with pytest.raises(ConfigError, match="takes 2 GPUs"):
        plan(many, STAGES, nodes)


def test_workers_for_nothing_are_refused_all_of_them():
    with pytest.raises(ConfigError) as caught:
        require_stages(["speakr", "asr:tiny.en", "synth", "asr:base", "rest"], STAGES)
    first, second = caught.value.problems
    assert "'speakr' has workers, but the run has no such stage. Did you mean 'speaker'?" in first
    assert second.startswith("'asr:tiny.en' has workers")
    require_stages(["synth", "asr:base", "rest"], STAGES)
