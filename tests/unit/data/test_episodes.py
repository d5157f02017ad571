from collections import Counter
from dataclasses import replace
from itertools import permutations

import pytest
import torch
from scipy.stats import chisquare

from carryover.core.block import placed
from carryover.core.rng import generator
from carryover.data.episodes import Episodes, ImageEpisodes, open_episodes
from carryover.data.images import Images, Split, save_images
from carryover.data.sinusoid_settings import Sinusoid
from carryover.data.sinusoids import save_sinusoid

LIKE = torch.zeros(())
SIZES = {"train": [12, 9, 15, 10, 9, 20, 11, 13], "val": [9] * 4, "test": [9, 10, 11, 12, 13, 14]}
"""Images of each class of each split."""
CLASSES = tuple("abcdefghijklmnopqr")
P = 1e-3
"""Smallest p of a test of uniformity; the generators are fixed, so a pass stays a pass."""


def split(first, sizes):
    """Images whose left pixel is their class and whose right pixel is their position, in a mixed order."""
    classes = torch.arange(first, first + len(sizes))
    labels = classes.repeat_interleave(torch.tensor(sizes, dtype=torch.int64))
    labels = labels[torch.randperm(len(labels), generator=generator(first, "mixed"))]
    positions = torch.arange(len(labels))
    pixels = torch.stack([labels, positions], 1).to(torch.uint8)
    return Split(pixels[:, None, None], labels, positions)


def images(sizes=SIZES, **changes):
    splits, first = {}, 0
    for name, own in sizes.items():
        splits[name] = split(first, own)
        first += len(own)
    made = Images(
        dataset="letters",
        splits=splits,
        classes=CLASSES,
        max_value=1,
        mean=(0.0,),
        std=(1.0,),
        spec="{}",
        origin="Made here.",
    )
    return replace(made, **changes)


def opened(name="train", sizes=SIZES, like=LIKE, **changes):
    return ImageEpisodes(images(sizes, **changes), name, like)


def drawn_of(episodes, size=(50, 5, 3, 4), seed=0):
    return episodes.draw(*size, generator(seed, "episodes"))


def classes_and_positions(inputs):
    """Read off images what they are."""
    return inputs[..., 0, 0, 0].long(), inputs[..., 0, 0, 1].long()


def test_a_task_has_distinct_classes_and_distinct_images_of_each():
    episodes = opened()
    positions = drawn_of(episodes)["positions"]
    assert positions.shape == (50, 5, 7)
    labels = images().train.labels[positions]
    assert (labels == labels[..., :1]).all()
    for task, own in zip(positions, labels, strict=True):
        assert len(own[:, 0].unique()) == 5
        assert len(task.unique()) == 35


def test_support_and_query_are_disjoint_and_hold_each_label_as_often_as_wanted():
    episodes = opened()
    support_x, support_y, query_x, query_y = episodes.tasks(drawn_of(episodes), 3)
    assert (support_x.shape, query_x.shape) == ((50, 15, 1, 1, 2), (50, 20, 1, 1, 2))
    assert support_y.equal(torch.arange(5).repeat_interleave(3).expand(50, -1))
    assert query_y.equal(torch.arange(5).repeat_interleave(4).expand(50, -1))
    (support, support_at), (query, query_at) = map(classes_and_positions, (support_x, query_x))
    assert support.view(50, 5, 3)[..., :1].expand(-1, -1, 4).flatten(1).equal(query)
    for mine, asked in zip(support_at.tolist(), query_at.tolist(), strict=True):
        assert not set(mine) & set(asked)


def test_the_same_generator_gives_the_same_tasks_whatever_was_drawn_before():
    episodes = opened()
    first = drawn_of(episodes)["positions"]
    drawn_of(episodes, (3, 2, 1, 1), seed=5)
    torch.rand(3, generator=generator(0, "other"))
    assert drawn_of(episodes)["positions"].equal(first)
    assert drawn_of(opened())["positions"].equal(first)
    assert not drawn_of(episodes, seed=1)["positions"].equal(first)


def test_drawing_leaves_the_global_stream_alone():
    before = torch.get_rng_state()
    drawn_of(opened())
    assert torch.get_rng_state().equal(before)


@pytest.mark.parametrize("num_tasks", [1, 4, 200])
def test_the_support_is_the_same_whatever_is_asked(num_tasks):
    episodes = opened()
    few, many = (drawn_of(episodes, (num_tasks, 5, 3, query))["positions"] for query in (1, 6))
    assert few[..., :3].equal(many[..., :3])
    assert few[..., 3].equal(many[..., 3])


def test_more_shots_of_a_task_begin_with_the_same_images():
    episodes = opened()
    one, five = (drawn_of(episodes, (20, 5, shots, 2))["positions"] for shots in (1, 5))
    assert one[..., 0].equal(five[..., 0])


def test_every_ordered_choice_of_classes_is_equally_likely():
    episodes = opened("val")
    positions = drawn_of(episodes, (24_000, 3, 1, 1))["positions"]
    chosen = Counter(map(tuple, images().val.labels[positions[..., 0]].tolist()))
    counts = [chosen[order] for order in permutations(range(8, 12), 3)]
    assert sum(counts) == 24_000
    assert chisquare(counts).pvalue > P


@pytest.mark.parametrize("way", range(5))
def test_every_label_goes_to_every_class_equally_often(way):
    positions = drawn_of(opened(), (8_000, 5, 1, 1))["positions"]
    counts = images().train.labels[positions[:, way, 0]].bincount(minlength=8)
    assert chisquare(counts.numpy()).pvalue > P


def test_every_ordered_choice_of_images_is_equally_likely():
    episodes = opened("train", {"train": [4, 4], "val": [], "test": []})
    positions = drawn_of(episodes, (24_000, 2, 1, 2))["positions"]
    own = images({"train": [4, 4], "val": [], "test": []}).train
    for way in (0, 1):
        for label in (0, 1):
            of_class = positions[own.labels[positions[:, way, 0]] == label][:, way]
            chosen = Counter(map(tuple, of_class.tolist()))
            members = own.index[own.labels == label].tolist()
            counts = [chosen[order] for order in permutations(members, 3)]
            assert sum(counts) == len(of_class)
            assert chisquare(counts).pvalue > P


def test_every_image_of_a_large_class_is_equally_likely_at_every_shot():
    sizes = {"train": [200, 150], "val": [], "test": []}
    positions = drawn_of(opened("train", sizes), (8_000, 2, 2, 3))["positions"]
    own = images(sizes).train
    for shot in range(5):
        for label, size in enumerate(sizes["train"]):
            chosen = positions[own.labels[positions] == label].view(-1, 5)[:, shot]
            counts = chosen.bincount(minlength=350)[own.labels == label]
            assert counts.sum() == 8_000
            assert len(counts) == size
            assert chisquare(counts.numpy()).pvalue > P


def test_a_class_may_give_all_of_its_images():
    episodes = opened()
    positions = drawn_of(episodes, (40, 8, 4, 5))["positions"]
    labels = images().train.labels
    for way in positions.flatten(0, 1):
        if labels[way[0]] in (1, 4):  # the classes of 9
            assert way.sort().values.equal((labels == labels[way[0]]).nonzero().flatten())


def test_inputs_are_normalised_as_those_of_other_trainings_and_images_stay_bytes():
    changes = {"max_value": 16, "mean": (0.3,), "std": (0.7,)}
    episodes = opened(**changes)
    drawn = drawn_of(episodes)
    raw = images().train.images[drawn["positions"][..., :3].flatten(1)]
    made = episodes.tasks(drawn, 3)
    assert made.support_x.equal(episodes.normaliser.normalise(episodes.normaliser.unit(raw)))
    assert made.support_x[0, 0, 0, 0, 0].item() == pytest.approx((raw[0, 0, 0, 0, 0].item() / 16 - 0.3) / 0.7)
    assert made.support_x.dtype == torch.float32
    assert episodes.images.dtype == torch.uint8
    double = opened(like=LIKE.double(), **changes).tasks(drawn, 3)
    assert double.query_x.dtype == torch.float64
    assert double.query_y.dtype == torch.int64


def test_the_pool_of_a_task_is_every_image_of_its_classes_but_the_query():
    episodes = opened()
    drawn = drawn_of(episodes)
    own = images().train.labels
    for task, positions in enumerate(drawn["positions"]):
        inputs, labels = episodes.pool(drawn, 3, task)
        named, found = classes_and_positions(inputs)
        classes = own[positions[:, 0]]
        assert named.equal(classes[labels])
        wanted = set(torch.isin(own, classes).nonzero().flatten().tolist()) - set(
            positions[:, 3:].flatten().tolist()
        )
        assert len(found) == len(wanted)
        assert set(found.tolist()) == wanted
        assert set(positions[:, :3].flatten().tolist()) <= wanted


def save(folder, **changes):
    save_images(folder / "letters.safetensors", images(**changes))
    return folder / "letters.safetensors"


def test_a_file_gives_tasks_of_the_classes_of_one_split(tmp_path):
    path = save(tmp_path)
    seen = {}
    for name in SIZES:
        episodes = open_episodes(path, name, LIKE)
        assert isinstance(episodes, Episodes)
        assert (episodes.input_shape, episodes.regression) == ((1, 1, 2), False)
        made = episodes.tasks(drawn_of(episodes, (200, 4, 3, 4)), 3)
        seen[name] = set(classes_and_positions(made.support_x)[0].flatten().tolist())
    assert seen == {"train": set(range(8)), "val": set(range(8, 12)), "test": set(range(12, 18))}


def test_a_file_of_ranges_gives_tasks_of_numbers(tmp_path):
    save_sinusoid(tmp_path / "waves.json", Sinusoid(source="sinusoid"))
    episodes = open_episodes(tmp_path / "waves.json", "val", LIKE)
    assert isinstance(episodes, Episodes)
    assert (episodes.input_shape, episodes.regression) == ((1,), True)


def test_splits_that_share_a_class_are_refused(tmp_path):
    splits = {"train": split(0, [9] * 6), "val": split(6, [9]), "test": split(5, [9])}
    with pytest.raises(
        ValueError, match=r"letters: 1 classes, f among them, are in the splits train and test.*class_split"
    ):
        open_episodes(save(tmp_path, splits=splits), "val", LIKE)


def test_a_missing_file_says_how_to_make_it(tmp_path):
    with pytest.raises(ValueError, match=r"letters\.safetensors is missing: `snakemake"):
        open_episodes(tmp_path / "letters.safetensors", "train", LIKE)


def test_too_few_classes_are_named_with_data_set_and_split():
    with pytest.raises(ValueError, match=r"letters, split val: tasks of 5 ways .* it has 4: lower ways"):
        drawn_of(opened("val"))
    with pytest.raises(ValueError, match=r"letters, split val: .* it has 0"):
        drawn_of(opened("val", {"train": [9], "val": [], "test": []}), (1, 1, 1, 1))


def test_too_few_images_are_named_with_their_class():
    message = r"letters, split test: 5 support and 5 query images .* class m has 9: lower shots"
    with pytest.raises(ValueError, match=message):
        drawn_of(opened("test"), (1, 5, 5, 5))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_tasks_on_a_gpu_are_those_of_the_cpu():
    like = torch.zeros((), device="cuda")
    here, there = opened(mean=(0.5,)), opened(mean=(0.5,), like=like)
    drawn = drawn_of(here)
    assert drawn_of(there)["positions"].equal(drawn["positions"])
    for stored in (drawn, placed(drawn, like)):
        made = there.tasks(stored, 3)
        assert all(part.device.type == "cuda" for part in made)
        assert all(own.cpu().equal(wanted) for own, wanted in zip(made, here.tasks(drawn, 3), strict=True))
        assert all(
            own.cpu().equal(wanted)
            for own, wanted in zip(there.pool(stored, 3, 1), here.pool(drawn, 3, 1), strict=True)
        )
