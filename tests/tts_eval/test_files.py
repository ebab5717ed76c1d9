from tts_eval.files import next_number


def test_a_number_is_never_given_twice(tmp_path):
    assert next_number(tmp_path, "part-*") == 0
    for name in ("part-0000.npz", "part-0002.npz", "part-x.npz", "other-0009.npz"):
        (tmp_path / name).touch()
    assert next_number(tmp_path, "part-*") == 3
