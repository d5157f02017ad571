# Helpers that rules share: each is one lookup in `flow` (src/carryover/workflow.py).


def code(stage):
    """Digest of all code that a stage can reach: a comment changes nothing, a constant does."""
    return flow.code(stage)


def images_of_run(wildcards):
    return flow.images(flow.runs[wildcards.run].dataset)


def spec_of_run(wildcards):
    return flow.runs[wildcards.run].spec


def spec_of_dataset(wildcards):
    return flow.dataset_spec(wildcards.dataset)


def classes_of_dataset(wildcards):
    return flow.class_list(wildcards.dataset)


def spec_of_source(wildcards):
    return canonical({"source": wildcards.source})


def listing_of_dataset(wildcards):
    return flow.listing(wildcards.dataset)


def folder_of_dataset(wildcards):
    return flow.folder(wildcards.dataset)


def block_of(wildcards):
    return wildcards.block


def cpus(wildcards):
    return flow.jobs[wildcards.run].cpus


def gpus(wildcards):
    return flow.gpus(wildcards.run)


def minutes(wildcards):
    return flow.jobs[wildcards.run].minutes


def memory(wildcards, attempt):
    """Ask for half as much again at each retry: out of memory is one reason for it."""
    return int(flow.jobs[wildcards.run].mem_mb * 1.5 ** (attempt - 1))


def one_of(names):
    """A wildcard constraint that is one of some names, or nothing at all."""
    return "|".join(map(re.escape, names)) or "(?!)"


def results_of_figure(wildcards):
    return flow.figure_results(wildcards.figure)


def spec_of_figure(wildcards):
    return flow.figure_spec(wildcards.figure)


# The same for papers whose runs come in kinds; a helper is made for each kind of run.


def images_of_kind(section, kind):
    return lambda wildcards: flow.images(section.dataset(kind, wildcards.run))


def need_of_kind(section, kind, part):
    """Manifests of other runs that a block reads in one part."""
    return lambda wildcards: section.needs(kind, wildcards.run, wildcards.block)[part]


def spec_of_kind(section, kind):
    return lambda wildcards: section.spec(kind, wildcards.run)


def job_of_kind(section, kind, key):
    return lambda wildcards: getattr(section.job(kind, wildcards.run), key)


def memory_of_kind(section, kind):
    return lambda wildcards, attempt: int(section.job(kind, wildcards.run).mem_mb * 1.5 ** (attempt - 1))


def gpus_of_kind(section, kind):
    return lambda wildcards: section.gpus(kind, wildcards.run)


def episodes_of_kind(section, kind):
    return lambda wildcards: section.episodes(kind, wildcards.run)
