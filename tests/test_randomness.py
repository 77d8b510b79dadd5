import torch

from condensery.randomness import global_rng, rng


def test_a_draw_is_a_function_of_seed_and_key():
    draws = [
        torch.rand(3, generator=rng(s, *k)) for s, k in [(0, ("a", 1)), (0, ("a", 1)), (0, ("a", 2)), (1, ("a", 1))]
    ]
    assert torch.equal(draws[0], draws[1])
    assert len({tuple(d.tolist()) for d in draws}) == 3


def test_keys_do_not_run_together():
    assert rng(0, "a", 11).initial_seed() != rng(0, "a", 1, 1).initial_seed()
    assert rng(0, "1").initial_seed() != rng(0, 1).initial_seed()


def test_the_global_generator_is_lent_and_put_back():
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    with global_rng(rng(1, "weights")):
        lent = torch.rand(2)
    assert torch.equal(torch.rand(2), expected)
    with global_rng(rng(1, "weights")):
        assert torch.equal(torch.rand(2), lent)
