import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.svm import SVC

from carryover.core.rng import generator
from carryover.data.episodes import ImageEpisodes
from carryover.data.images import Images, Split
from carryover.data.sinusoid_settings import Sinusoid
from carryover.data.sinusoids import Sinusoids
from carryover.metaticket.ceiling import ceilings, predict

LIKE = torch.zeros(())
SIZE = (30, 5, 2, 4)
"""Tasks, ways, shots and query shots."""


def opened(pixels, labels, max_value):
    """Tasks of all given images."""
    images = Images(
        dataset="made",
        splits={"train": Split(pixels.to(torch.uint8)[:, None], labels, torch.arange(len(labels)))},
        classes=tuple(map(str, range(10))),
        max_value=max_value,
        mean=(0.0,),
        std=(1.0,),
        spec="{}",
        origin="Made here.",
    )
    return ImageEpisodes(images, "train", LIKE)


def digits(num=400):
    bundle = load_digits()
    return opened(torch.from_numpy(bundle.images[:num]), torch.from_numpy(bundle.target[:num]).long(), 16)


def drawn_of(episodes):
    return episodes.draw(*SIZE, generator(0, "ceiling"))


def test_a_ceiling_is_the_accuracy_of_scikit_learns_machine_on_each_task():
    episodes = digits()
    drawn = drawn_of(episodes)
    found = ceilings(episodes, drawn, 2)
    tasks = episodes.tasks(drawn, 2)
    for task in range(30):
        images, labels = episodes.pool(drawn, 2, task)
        machine = SVC().fit(images.flatten(1).numpy(), labels.numpy())
        assert found[task].item() == pytest.approx(
            machine.score(tasks.query_x[task].flatten(1).numpy(), tasks.query_y[task].numpy())
        )
    assert found.mean() > 0.95


def test_images_that_tell_nothing_give_chance():
    # a query that were also learned from would be known: the machine remembers what it has seen
    pixels = torch.randint(0, 256, (200, 8, 8), generator=generator(0, "pixels"))
    episodes = opened(pixels, torch.arange(200) % 10, 255)
    drawn = drawn_of(episodes)
    accuracy = ceilings(episodes, drawn, 2)
    assert (accuracy.mean() - 0.2).abs() < 4 * accuracy.std() / 30**0.5
    pool, labels = episodes.pool(drawn, 2, 0)
    assert predict(pool, labels, pool).equal(labels)


def test_images_of_one_brightness_a_class_are_told_apart():
    labels = torch.arange(100) % 10
    episodes = opened(labels[:, None, None].expand(-1, 4, 4) * 20, labels, 255)
    assert ceilings(episodes, drawn_of(episodes), 2).equal(torch.ones(30))


def test_images_that_are_all_the_same_do_not_divide_by_zero():
    episodes = opened(torch.zeros(100, 4, 4), torch.arange(100) % 10, 255)
    assert ceilings(episodes, drawn_of(episodes), 2).equal(torch.full((30,), 0.2))


def test_each_task_has_its_own_ceiling_whatever_the_others_are():
    episodes = digits()
    drawn = drawn_of(episodes)
    alone = {"positions": drawn["positions"][7:9]}
    assert ceilings(episodes, alone, 2).equal(ceilings(episodes, drawn, 2)[7:9])


def test_sinusoids_have_no_ceiling():
    sinusoids = Sinusoids(Sinusoid(source="sinusoid"), "test", LIKE)
    with pytest.raises(ValueError, match="leave it out for sinusoids"):
        ceilings(sinusoids, sinusoids.draw(2, 1, 5, 5, generator(0)), 5)
