import pytest
import torch
from sklearn.datasets import load_digits

from carryover.core.config import canonical
from carryover.data.images import load_images
from carryover.data.settings import Digits
from carryover.stages.prepare_digits import main


def prepare(path, **split):
    main(["--spec", canonical(Digits(source="digits", split=split)), "--images", str(path)])
    return load_images(path)


def test_digits_are_1400_and_397_real_images(tmp_path):
    images = prepare(tmp_path / "digits.safetensors")
    assert (len(images.train.labels), len(images.val.labels), len(images.test.labels)) == (1400, 0, 397)
    assert images.dataset == "digits"
    assert images.classes == tuple("0123456789")
    bundle = load_digits()
    assert images.test.images[:, 0].equal(torch.from_numpy(bundle.images[images.test.index]).to(torch.uint8))
    assert images.test.labels.equal(torch.from_numpy(bundle.target[images.test.index]))


def test_an_input_is_pixel_over_16_minus_0_3(tmp_path):
    images = prepare(tmp_path / "digits.safetensors")
    assert (images.max_value, images.mean, images.std) == (16, (0.3,), (1.0,))
    assert images.train.images.max() == 16


def test_digits_are_the_same_file_byte_for_byte(tmp_path):
    for folder in ("one", "two"):
        prepare(tmp_path / folder / "digits.safetensors")
    one, two = ((tmp_path / folder / "digits.safetensors").read_bytes() for folder in ("one", "two"))
    assert one == two


def test_validation_digits_come_from_the_training_ones(tmp_path):
    default = prepare(tmp_path / "digits.safetensors")
    tuned = prepare(tmp_path / "digits-val.safetensors", train=1120, val=280, test=397)
    assert (len(tuned.train.labels), len(tuned.val.labels)) == (1120, 280)
    assert tuned.test.index.equal(default.test.index)
    assert set(tuned.train.index.tolist() + tuned.val.index.tolist()) == set(default.train.index.tolist())


def test_a_wrong_split_is_refused_and_leaves_no_file(tmp_path):
    spec = '{"source": "digits", "split": {"train": 1500}}'
    with pytest.raises(ValueError, match="at most 1797"):
        main(["--spec", spec, "--images", str(tmp_path / "digits.safetensors")])
    assert not list(tmp_path.iterdir())
