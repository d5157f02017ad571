# Install the lock and the package into the conda environment that is active, from the root of the project.
set -eu
envs/install-lock.sh envs/requirements.lock
python -m pip --quiet --no-input install --no-deps --no-build-isolation --editable .
