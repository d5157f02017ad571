"""Shapes and types are checked in every test: the package is imported through jaxtyping and beartype."""

import os

from jaxtyping import install_import_hook

# small matrix work is fastest on one thread, and two workers share two cores
os.environ.setdefault("OMP_NUM_THREADS", "1")
install_import_hook("carryover", "beartype.beartype")
