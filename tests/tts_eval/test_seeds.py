from tts_eval.seeds import candidate_seed, generator


def test_a_seed_depends_on_each_of_its_three_parts():
    seeds = {candidate_seed(run, request, index) for run in (0, 1) for request in ("a", "b") for index in range(50)}
    assert len(seeds) == 200


def test_parts_do_not_run_into_each_other():
    assert candidate_seed(1, "1", 11) != candidate_seed(1, "11", 1)
    assert candidate_seed(11, "1", 1) != candidate_seed(1, "11", 1)


def test_seeds_are_pinned_because_stored_runs_depend_on_them():
    assert candidate_seed(0, "plain-1", 0) == 5649209508901012180
    assert generator(7).integers(1 << 30, size=3).tolist() == [288448491, 503388943, 1045684913]


def test_a_longer_draw_begins_like_a_shorter_one():
    assert generator(3).standard_normal(10)[:4].tolist() == generator(3).standard_normal(4).tolist()
