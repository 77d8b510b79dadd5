"""Data that grow: a set starts from the one of the earlier data."""

from dataclasses import replace

import pytest
import torch
from lists import LEARNED, RECIPES, TINY, WRAPPED, over
from test_leak import with_test_part

import condensery as cd
from condensery.cli import main
from condensery.data import RealSet
from condensery.errors import InputError
from condensery.recipes import DC, DM, DREAM, IDC, KFS, MDC, Compact, Random, Recipe, Unrolled, Warm
from condensery.runs.checkpoint import Interrupted

DM2 = DM(ipc=2, steps=4, real_rows=4, net=TINY)


def kept(recipe, real, folder):
    made = cd.condense(recipe, real, progress=False)
    cd.save(made, folder / "earlier.safetensors")
    return made, str(folder / "earlier.safetensors")


def begun(recipe, real):
    """The set before the first step."""
    algorithm = recipe.algorithm(real)
    for beginning in algorithm.beginnings:
        beginning(algorithm.synthetic, None)
    return algorithm.finish(algorithm.synthetic)


def named(real, names):
    return RealSet(real.images, real.labels, real.classes, real.space, real.dtype, real.device, "blobs", names)


@over(LEARNED)
def test_every_recipe_starts_from_its_earlier_set(part, real, tmp_path):
    earlier, file = kept(part, real, tmp_path)
    made = Warm(part, file).algorithm(real)
    stored = begun(Warm(part, file), real)
    assert made.steps == part.algorithm(real).steps
    ours, theirs = stored(), earlier.synthetic()
    torch.testing.assert_close(ours.x, theirs.x, rtol=0, atol=1e-6)
    torch.testing.assert_close(ours.labels, theirs.labels, rtol=0, atol=1e-6)
    before = {name: value.clone() for name, value in made.synthetic.named_parameters()}
    made.run(observe=lambda step: None)
    assert any((value != before[name]).any() for name, value in made.synthetic.named_parameters())


def test_a_set_takes_the_place_of_what_unrolled_wraps(real, tmp_path):
    recipe = WRAPPED["unrolled of kfs"]
    earlier, file = kept(recipe, real, tmp_path)
    (rounds,) = Warm(recipe, file).algorithm(real).parts
    assert rounds.steps == recipe.rounds
    (first,) = rounds.beginnings
    first(rounds.synthetic, None)
    torch.testing.assert_close(rounds.synthetic.bases, earlier.synthetic.bases, rtol=0, atol=1e-6)


@pytest.mark.parametrize("recipe", [DM2, LEARNED["idc 2"], LEARNED["dc 2"]])
def test_new_classes_start_as_the_recipe_says(recipe, real, tmp_path):
    known, grown = named(real, ("a", "b", "c")), named(real, ("c", "new", "a"))
    earlier, file = kept(recipe, known, tmp_path)
    stored, alone = begun(Warm(recipe, file), grown), begun(recipe, grown)
    torch.testing.assert_close(stored.bases[0], earlier.synthetic.bases[2], rtol=0, atol=1e-6)
    torch.testing.assert_close(stored.bases[2], earlier.synthetic.bases[0], rtol=0, atol=1e-6)
    assert torch.equal(stored.bases[1], alone.bases[1])


def test_classes_in_another_order_keep_their_labels(real, tmp_path):
    recipe = LEARNED["dc soft labels"]
    earlier, file = kept(recipe, named(real, ("a", "b", "c")), tmp_path)
    stored = begun(Warm(recipe, file), named(real, ("c", "b", "a")))
    torch.testing.assert_close(stored().labels, earlier.synthetic().labels.flip(0).flip(2), rtol=0, atol=1e-6)


def test_images_keep_their_pixels_where_statistics_have_changed(real, tmp_path):
    earlier, file = kept(DM2, real, tmp_path)
    space = replace(real.space, mean=(0.1,), std=(0.9,))
    other = RealSet(real.images, real.labels, 3, space, real.dtype, real.device)
    stored, theirs = begun(Warm(DM2, file), other), earlier.synthetic
    unit = space.unit(stored().x), theirs.space.unit(theirs().x)
    torch.testing.assert_close(*unit, rtol=0, atol=1e-6)


def test_more_images_per_class_begin_with_the_earlier_ones(real, tmp_path):
    earlier, file = kept(DM2, real, tmp_path)
    more = replace(DM2, ipc=3)
    stored = begun(Warm(more, file), real)
    torch.testing.assert_close(stored.bases[:, :2], earlier.synthetic.bases, rtol=0, atol=1e-6)
    assert torch.equal(stored.bases[:, 2], begun(more, real).bases[:, 2])


@pytest.mark.parametrize("around", [lambda base: Unrolled(base, rounds=1), lambda base: DREAM(base, cluster_every=1)])
def test_more_images_per_class_start_as_the_recipe_says(around, real, tmp_path):
    earlier, file = kept(around(DM2), real, tmp_path)
    more = around(replace(DM2, ipc=3))
    stored, alone = begun(Warm(more, file), real), begun(more, real)
    torch.testing.assert_close(stored.bases[:, :2], earlier.synthetic.bases, rtol=0, atol=1e-6)
    assert torch.equal(stored.bases[:, 2], alone.bases[:, 2])
    assert not torch.equal(stored.bases[:, 2], begun(replace(DM2, ipc=3), real).bases[:, 2])


@over({name: RECIPES[name] for name in ("dm 2", "kfs whole", "dc soft labels", "unrolled of kfs")})
def test_a_run_that_was_stopped_goes_on_and_its_set_is_loaded_as_it_was_saved(part, real, tmp_path):
    data = with_test_part(real.images, real.labels)
    recipe = Warm(part, kept(part, data.train, tmp_path)[1])
    calls = []
    with pytest.raises(Interrupted):
        cd.run(recipe, data, tmp_path / "stopped", stop=lambda: len(calls) > 1 or calls.append(1), progress=False)
    for folder in ("stopped", "whole"):
        made = cd.run(recipe, data, tmp_path / folder, progress=False)
    files = [(tmp_path / folder / "condensed.safetensors").read_bytes() for folder in ("stopped", "whole")]
    assert files[0] == files[1]
    there = cd.load(tmp_path / "whole")
    assert torch.equal(there.synthetic.bases, made.synthetic.bases)
    assert replace(there, synthetic=made.synthetic) == made


@pytest.mark.parametrize(("recipe", "names", "said"), [
    (DM2, ("x", "y", "z"), "none of the classes"),
    (replace(DM2, ipc=1), ("0", "1", "2"), "larger `ipc`"),
    (DM(ipc=2, factor=2, steps=4, real_rows=4, net=TINY), ("0", "1", "2"), "something else"),
    (IDC(ipc=2, factor=1, outer_steps=1, inner_steps=1, real_rows=4, net=TINY), ("0", "1", "2"), "something else"),
    (DC(ipc=2, outer_steps=1, network_epochs=1, net=TINY, learn="both"), ("0", "1", "2"), "something else"),
    (Random(ipc=2), ("0", "1", "2"), "does not learn by matching"),
])  # fmt: skip
def test_a_set_that_does_not_suit_is_refused(recipe, names, said, real, tmp_path):
    file = kept(DM2, real, tmp_path)[1]
    with pytest.raises(InputError, match=said):
        Warm(recipe, file).algorithm(named(real, names))


def test_new_classes_are_refused_by_decoders_and_labels(real, tmp_path):
    for recipe, said in ((LEARNED["kfs whole"], "no encoder"), (LEARNED["dc soft labels"], "earlier classes only")):
        file = kept(recipe, named(real, ("a", "b", "c")), tmp_path)[1]
        with pytest.raises(InputError, match=said):
            Warm(recipe, file).algorithm(named(real, ("a", "b", "new")))


def test_decoders_take_no_more_codes(real, tmp_path):
    codes = KFS(ipc=2, channels=(3,), decoders=2, pretraining=2, steps=2, real_rows=4, net=TINY)
    file = kept(codes, real, tmp_path)[1]
    with pytest.raises(InputError, match=r"classes are added or `ipc` is raised"):
        Warm(replace(codes, ipc=3), file).algorithm(real)


def test_new_classes_are_taken_by_a_learned_enlargement(real, tmp_path):
    recipe = LEARNED["idc learnable"]
    earlier, file = kept(recipe, named(real, ("a", "b", "c")), tmp_path)
    grown = named(real, ("a", "b", "new"))
    stored, alone = begun(Warm(recipe, file), grown), begun(recipe, grown)
    torch.testing.assert_close(stored.bases[:2], earlier.synthetic.bases[:2], rtol=0, atol=1e-6)
    assert torch.equal(stored.bases[2], alone.bases[2])


@pytest.mark.parametrize("factor", [1, 2])
def test_whitened_cells_are_refused_where_the_whitening_has_changed(factor, real, tmp_path):
    def whitened(strength):
        data = with_test_part(real.images, real.labels)
        return data.whitened(strength).train

    recipe = replace(DM2, factor=factor)
    earlier, file = kept(recipe, whitened(0.1), tmp_path)
    again = begun(Warm(recipe, file), whitened(0.1))
    torch.testing.assert_close(again.bases, earlier.synthetic.bases, rtol=0, atol=1e-5)
    if factor == 2:
        with pytest.raises(InputError, match="mix the cells"):
            Warm(recipe, file).algorithm(whitened(0.2))
        return
    stored = begun(Warm(recipe, file), whitened(0.2))
    unit = stored.space.unit(stored().x), earlier.space.unit(earlier.synthetic().x)
    torch.testing.assert_close(*unit, rtol=0, atol=1e-5)


def test_there_must_be_a_set(real, tmp_path):
    with pytest.raises(InputError, match="`start`"):
        Warm(DM2).algorithm(real)
    with pytest.raises(InputError, match="no such file"):
        Warm(DM2, str(tmp_path / "absent.safetensors")).algorithm(real)
    with pytest.raises(InputError, match=r"absent.*cannot be read.*`start`"):
        Warm(DM2, str(tmp_path / "absent")).record()


def test_a_record_is_read_in_any_folder(real, tmp_path, monkeypatch):
    kept(DM2, real, tmp_path)
    monkeypatch.chdir(tmp_path)
    record = Warm(DM2, "earlier.safetensors").record()
    monkeypatch.chdir("/")
    assert Recipe.of_record(record).record() == record
    assert Recipe.of_record(record).algorithm(real).steps == DM2.steps


def test_a_set_that_was_condensed_again_is_another_start(real, tmp_path):
    data = with_test_part(real.images, real.labels)
    recipe, calls = Warm(DM2, kept(DM2, data.train, tmp_path)[1]), []
    cd.run(recipe, data, tmp_path / "whole", progress=False)
    with pytest.raises(Interrupted):
        cd.run(recipe, data, tmp_path / "half", stop=lambda: len(calls) > 1 or calls.append(1), progress=False)
    recorded = Recipe.of_record(recipe.record())
    assert recorded.record() == recipe.record()
    kept(replace(DM2, seed=1), data.train, tmp_path)
    for folder in ("whole", "half"):
        with pytest.raises(InputError, match=r"contains another run.*start_hash"):
            cd.run(recipe, data, tmp_path / folder, progress=False)
    with pytest.raises(InputError, match="another set than before"):
        recorded.algorithm(data.train)


def test_other_wrappers_go_around_it(real, tmp_path):
    codes = KFS(ipc=3, channels=(3,), decoders=2, pretraining=2, steps=6, net=TINY)
    file = kept(codes, real, tmp_path)[1]
    for recipe in (MDC(Warm(codes, file), period=1, window=1), Compact(Warm(codes, file))):
        assert cd.condense(recipe, real, progress=False).floats == codes.algorithm(real).synthetic.floats


def test_representatives_do_not_replace_the_earlier_set(real, tmp_path):
    dm = DM2.having(ipc=1, real_rows=4)
    earlier, file = kept(dm, real, tmp_path)
    assert torch.allclose(begun(DREAM(Warm(dm, file)), real).bases, earlier.synthetic.bases)
    codes = KFS(ipc=3, channels=(3,), decoders=2, pretraining=2, steps=2, real_rows=4, net=TINY)
    earlier, file = kept(codes, real, tmp_path)
    assert torch.allclose(begun(DREAM(Warm(codes, file)), real).bases, earlier.synthetic.bases)


def test_on_the_command_line(tmp_path, capsys):
    words = ["run", "dm:digits", "--data", "digits", "--ipc", "1", "--steps", "2", "--net.width", "4"]
    assert main([*words, "--out", str(tmp_path / "first")]) == 0
    warm = ["run", "dm:digits+warm", *words[2:], "--start", str(tmp_path / "first")]
    assert main([*warm, "--out", str(tmp_path / "second")]) == 0
    assert main(["run", "dm:digits+warm", *words[2:], "--out", str(tmp_path / "third")]) == 2
    assert "--start" in capsys.readouterr().err
