import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from fewshot_runs import SIDE, pictures_of, stored, train, write_marks
from PIL import Image, ImageOps

from carryover.cli import main
from carryover.core.block import placed
from carryover.data.episodes import open_episodes
from carryover.data.folder import fit
from carryover.data.images import load_images
from carryover.data.sinusoid_settings import Sinusoid
from carryover.data.sinusoids import save_sinusoid
from carryover.fewshot_inputs import open_run, prepared_as
from carryover.io.tables import load_table
from carryover.metaticket.own import Options, adapt
from carryover.stages._fewshot import load_stored


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    return write_marks(tmp_path_factory.mktemp("data") / "marks.safetensors")


@pytest.fixture(scope="module")
def ticket(images, tmp_path_factory) -> Path:
    return train(tmp_path_factory.mktemp("ticket"), images, "ticket", "s1-2", method="metaticket")


@pytest.fixture(scope="module")
def maml(images, tmp_path_factory) -> Path:
    return train(tmp_path_factory.mktemp("maml"), images, "maml", method="maml")


def save(path: Path, pixels: torch.Tensor) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    array = pixels[0].numpy() if len(pixels) == 1 else pixels.permute(1, 2, 0).numpy()
    Image.fromarray(array).save(path)


def pictures(
    folder: Path, classes=(10, 11, 12), num: int = 5, shots: int = 3, flat: bool = False
) -> dict[str, str]:
    """Write support and query as pictures; the arguments that name them."""
    for label in classes:
        for number, own in enumerate(pictures_of(label, num)):
            place = folder / ("support" if number < shots else "query")
            name = f"{number}.png"
            save(place / (f"mark{label}-{name}" if flat and number >= shots else f"mark{label}/{name}"), own)
    return {"--support": str(folder / "support"), "--query": str(folder / "query")}


def words(arguments: dict[str, object], **changes: object) -> list[str]:
    changed = {**arguments, **{f"--{name}": value for name, value in changes.items()}}
    given = [word for name, value in changed.items() if value is not None for word in (name, str(value))]
    return ["fewshot", *(word for word in given if word)]


def typed(capsys, arguments: dict[str, object], **changes: object) -> str:
    main(words(arguments, **changes))
    return capsys.readouterr().out


def refused(capsys, arguments: dict[str, object], **changes: object) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit, match="1"):
        main(words(arguments, **changes))
    written: str = capsys.readouterr().err
    assert written.startswith("error: ")
    return written


def test_predictions_are_those_of_the_function_and_are_written_as_a_table(ticket, images, tmp_path, capsys):
    arguments = {
        "--model": ticket,
        "--seed": 2,
        **pictures(tmp_path),
        "--steps": 3,
        "--output": tmp_path / "p.csv",
    }
    out = typed(capsys, arguments)
    table = load_table(tmp_path / "p.csv")
    assert list(table.columns) == ["image", "class", "predicted", "probability", "norm"]
    assert table["image"].tolist() == [f"mark{label}/{n}.png" for label in (10, 11, 12) for n in (3, 4)]
    assert set(table["norm"]) == {"support"}

    def prepared(numbers):
        own = torch.cat([pictures_of(label, 5)[numbers] for label in (10, 11, 12)])
        return (own / 255 - 0.4) / 0.3

    given = open_run(ticket, 2)
    labels = [f"mark{label}" for label in (10, 11, 12) for _ in range(3)]
    predictor = adapt(given.net, prepared(slice(3)), labels, Options(steps=3))
    probabilities = predictor.probabilities(prepared(slice(3, 5)))
    np.testing.assert_allclose(table["probability"], probabilities.amax(-1).numpy(), rtol=1e-5)
    assert table["predicted"].tolist() == predictor.classify(prepared(slice(3, 5)))
    right = int((table["class"] == table["predicted"]).sum())
    assert f"accuracy {right / 6:.4f} ({right} of 6); chance 0.3333" in out
    assert "ticket, seed 2: metaticket, trained on marks with 3 ways and 2 shots" in out
    assert "support: 3 classes (mark10, mark11, mark12), 3 pictures each" in out
    assert "3 inner steps; batch-norm has the statistics of the support" in out
    assert out.endswith("p.csv: 6 predictions\n")


def test_pictures_saved_from_a_data_set_give_the_accuracy_of_its_tasks(ticket, images, tmp_path, capsys):
    episodes, tasks = open_episodes(images, "test", torch.zeros(())), load_stored(stored(images, "test"))
    task = episodes.tasks(placed(tasks.drawn, torch.zeros(())), 2)
    for part, x, y in (("support", task.support_x, task.support_y), ("query", task.query_x, task.query_y)):
        for number, (image, label) in enumerate(zip(x[0], y[0].tolist(), strict=True)):
            save(
                tmp_path / part / f"{label}" / f"{number}.png",
                ((image * 0.3 + 0.4) * 255).round().to(torch.uint8),
            )
    given = open_run(ticket, 1)
    support, query = (given.preparation.read(tmp_path / part, "") for part in ("support", "query"))
    torch.testing.assert_close(support.examples, task.support_x[0], rtol=0, atol=1e-6)
    expected = adapt(given.net, task.support_x[0], task.support_y[0]).outputs(task.query_x[0])
    found = adapt(given.net, support.examples, support.labels).outputs(query.examples)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    out = typed(
        capsys,
        {"--model": ticket, "--seed": 1, "--support": tmp_path / "support", "--query": tmp_path / "query"},
    )
    right = int((expected.argmax(-1) == task.query_y[0]).sum())
    assert f"({right} of 6)" in out


def test_without_class_folders_predictions_are_listed_and_no_accuracy(maml, tmp_path, capsys):
    out = typed(capsys, {"--model": maml, **pictures(tmp_path, flat=True)})
    assert "accuracy" not in out
    lines = out.splitlines()
    assert lines[3] == ""
    assert all(re.fullmatch(r"mark1[012]-[34]\.png  mark1[012]  [01]\.\d{4}", line) for line in lines[4:])
    assert len(lines) == 4 + 6


def test_transductive_predictions_are_called_so(ticket, tmp_path, capsys):
    arguments = {"--model": ticket, "--seed": 1, **pictures(tmp_path)}
    files = {"": tmp_path / "own.csv", "--transductive": tmp_path / "transductive.csv"}
    for word, file in files.items():
        main([*words(arguments, output=file), *([word] if word else [])])
    own, transductive = (load_table(file) for file in files.values())
    assert set(own["norm"]) == {"support"}
    assert set(transductive["norm"]) == {"transductive"}
    assert "all pictures of the query together (transductive)" in capsys.readouterr().out
    assert (own["probability"] - transductive["probability"]).abs().max() > 1e-6


def test_a_random_classifier_takes_other_numbers_of_classes_and_a_learned_one_does_not(
    ticket, maml, tmp_path, capsys
):
    arguments = pictures(tmp_path, classes=(10, 11, 12, 13))
    assert "support: 4 classes" in typed(capsys, {"--model": ticket, "--seed": 1, **arguments})
    message = refused(capsys, {"--model": maml, **arguments})
    assert "maml has learned a classifier of 3 ways, and the support has 4 classes" in message


def test_steps_and_rate_are_those_that_are_given(maml, tmp_path, capsys):
    arguments = {"--model": maml, **pictures(tmp_path)}
    assert "2 inner steps" in typed(capsys, arguments)
    assert "7 inner steps" in typed(capsys, arguments, steps=7)
    first, second = (typed(capsys, arguments, lr=lr).splitlines()[-1] for lr in (0.01, 0.4))
    assert first != second


def test_a_run_may_be_named_in_place_of_its_block(maml, ticket, tmp_path, capsys):
    arguments = pictures(tmp_path)
    assert "maml, seed 1" in typed(capsys, {"--model": maml.parent, **arguments})
    assert "ticket, seed 2" in typed(capsys, {"--model": ticket.parent, "--seed": 2, **arguments})


def test_pictures_become_the_shape_of_the_data_set(images):
    data, like = load_images(images, ()), torch.zeros(())
    colour = Image.fromarray(
        torch.randint(
            0, 256, (12, 9, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
        ).numpy()
    )
    grey = prepared_as(data, (1, SIDE, SIDE), "auto", like)
    assert not grey.invert

    def read(preparation, folder):
        return preparation.read(folder, "--query").examples[0]

    def saved(folder):
        folder.mkdir()
        colour.save(folder / "a.png")
        return folder

    expected = np.array(fit(colour.convert("L"), SIDE)) / 255
    folder = saved(images.parent / "shapes")
    torch.testing.assert_close(
        read(grey, folder)[0], torch.tensor((expected - 0.4) / 0.3).float(), rtol=0, atol=1e-5
    )
    wide = read(prepared_as(data, (1, 4, 7), "auto", like), folder)
    assert wide.shape == (1, 4, 7)
    inverted = read(prepared_as(data, (1, SIDE, SIDE), "yes", like), folder)
    ink = np.array(fit(ImageOps.invert(colour.convert("L")), SIDE)) / 255
    torch.testing.assert_close(inverted[0], torch.tensor((ink - 0.4) / 0.3).float(), rtol=0, atol=1e-5)


def test_drawings_are_inverted_where_those_of_the_data_set_were(tmp_path):
    for spec, invert in (({"source": "omniglot"}, True), ({"source": "mnist"}, False), ({}, False)):
        data = load_images(write_marks(tmp_path / "marks.safetensors", **spec), ())
        like = torch.zeros(())
        assert prepared_as(data, (1, 6, 6), "auto", like).invert == invert
        assert prepared_as(data, (1, 6, 6), "yes", like).invert
        assert not prepared_as(data, (1, 6, 6), "no", like).invert


def test_a_picture_is_resized_as_its_folder_data_set_was(tmp_path):
    data = load_images(write_marks(tmp_path / "marks.safetensors", source="folder", resize="stretch"), ())
    picture = Image.fromarray(np.arange(200, dtype=np.uint8).reshape(10, 20))
    folder = tmp_path / "wide"
    folder.mkdir()
    picture.save(folder / "a.png")
    preparation = prepared_as(data, (1, SIDE, SIDE), "auto", torch.zeros(()))
    expected = np.array(fit(picture, SIDE, "stretch")) / 255
    found = preparation.read(folder, "").examples[0, 0]
    torch.testing.assert_close(found, torch.tensor((expected - 0.4) / 0.3).float(), rtol=0, atol=1e-5)


def test_what_a_person_gets_wrong_is_said_in_one_line(ticket, maml, images, tmp_path, capsys):
    good = {"--model": maml, **pictures(tmp_path)}
    flat = tmp_path / "flat"
    pictures(flat, flat=True)
    broken = tmp_path / "broken"
    pictures(broken)
    (broken / "query" / "mark10" / "9.png").write_bytes(b"no picture")
    mixed = tmp_path / "mixed"
    pictures(mixed)
    save(mixed / "query" / "loose.png", pictures_of(1, 1)[0])
    unknown = tmp_path / "unknown"
    pictures(unknown, classes=(9, 10, 11))
    one = tmp_path / "one"
    pictures(one, classes=(10,))
    (tmp_path / "empty").mkdir()
    for words_, changes in {
        r"manifest\.json is missing, so .* is no finished training": {"model": tmp_path},
        r"has nets of the seeds 1, 2: choose one with --seed": {"model": ticket},
        r"has nets of the seeds 1: choose one with --seed": {"seed": 4},
        r"--support: .* is not there": {"support": tmp_path / "nowhere"},
        r"--query: .*empty holds no pictures": {"query": tmp_path / "empty"},
        r"--support: .* has pictures and no class folders": {"support": flat / "query"},
        r"--query: .*9\.png cannot be read": {"query": broken / "query"},
        r"not like loose\.png and mark12/4": {"query": mixed / "query"},
        r"--query has a class that --support lacks, 'mark9'": {"query": unknown / "query"},
        r"the support has one class": {"support": one / "support", "query": one / "query"},
        r"--steps must be above 0: got 0": {"steps": 0},
        r"--lr must be above 0": {"lr": -1.0},
        r"--output: the file to write must end in \.csv": {"output": tmp_path / "p.txt"},
    }.items():
        assert re.search(words_, refused(capsys, good, **changes)), words_


def test_a_data_set_that_is_not_that_of_the_training_is_refused_unless_it_is_named(
    tmp_path, capsys, monkeypatch
):
    images = write_marks(tmp_path / "marks.safetensors")
    model = train(tmp_path, images, "maml", method="maml")
    arguments = {"--model": model, **pictures(tmp_path)}
    moved = images.rename(tmp_path / "elsewhere.safetensors")
    assert "say where it is with --images" in refused(capsys, arguments)
    assert "accuracy" in typed(capsys, arguments, images=moved)
    write_marks(images, source="digits")
    assert "is not the file that" in refused(capsys, arguments)
    other = write_marks(tmp_path / "other.safetensors", source="digits")
    told = refused(capsys, arguments, images=other)
    assert f"--images {other} is not {images}, the data set that {model} was trained on" in told
    assert "--images: " in refused(capsys, arguments, images=tmp_path / "nowhere.safetensors")


def test_zips_are_read_like_folders(maml, tmp_path, capsys):
    arguments = pictures(tmp_path)
    zipped = {name: shutil.make_archive(path, "zip", path) for name, path in arguments.items()}
    listed = typed(capsys, {"--model": maml, **arguments})
    assert "accuracy" in listed
    assert typed(capsys, {"--model": maml, **zipped}) == listed


def test_nets_of_sinusoids_take_no_pictures(tmp_path, capsys):
    sines = tmp_path / "sines.json"
    save_sinusoid(sines, Sinusoid(source="sinusoid"))
    net = {"net": {"kind": "regressor"}, "ways": 1, "norm": "none", "dataset": "sines"}
    model = train(tmp_path, sines, "sine", method="maml", inner_lr=0.001, **net)
    assert "predicts numbers (sinusoids)" in refused(capsys, {"--model": model, **pictures(tmp_path)})
    wild = train(tmp_path, sines, "wild", method="maml", inner_lr=1e6, **net)
    assert "every net of it diverged" in refused(capsys, {"--model": wild, **pictures(tmp_path)})
