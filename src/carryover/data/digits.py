"""The handwritten digits that scikit-learn carries."""

import numpy as np
import torch
from sklearn.datasets import load_digits

from carryover.data.prepare import Contents, Labelled


def read_digits() -> Contents:
    """Read the 1,797 images of 8x8 pixels with values 0..16."""
    bundle = load_digits()
    images = torch.from_numpy(bundle.images.astype(np.uint8))[:, None]
    labels = torch.from_numpy(bundle.target.astype(np.int64))
    return Contents(
        parts={"all": Labelled(images, labels)},
        classes=tuple("0123456789"),
        origin="The 1,797 handwritten digits bundled with scikit-learn; they have no official test split.",
        max_value=16,
    )
