"""Names of the augmentations. Light: settings read this without torch."""

from typing import Literal

Augmentation = Literal["none", "crop", "crop-flip", "authors"]
"""`crop`: pad 4 and crop back; `crop-flip`: the same and flip; `authors`: pad 4, resized crop and flip."""
