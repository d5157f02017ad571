# From files to one safetensors file of uint8 images per data set; all studies share them.
# Compute nodes may be offline: whatever needs the network is a local rule.


rule fetch_images:
    output:
        raw="results/data/raw/{source}.json",
    log:
        "results/data/raw/{source}.log",
    wildcard_constraints:
        source=one_of(DOWNLOADED),
    conda:
        "../../envs/environment.yaml"
    resources:
        root=flow.config.data.root,
        reach=flow.reach,
    params:
        spec=spec_of_source,
    shell:
        "python -m carryover.stages.fetch_images --spec {params.spec:q}"
        " --root {resources.root:q} {resources.reach} --raw {output.raw} 2> {log}"


rule prepare_digits:
    output:
        images="results/data/{dataset}.safetensors",
    log:
        "results/data/{dataset}.log",
    wildcard_constraints:
        dataset=one_of(flow.datasets_from("digits")),
    conda:
        "../../envs/environment.yaml"
    params:
        code=code("prepare_digits"),
        spec=spec_of_dataset,
        classes=classes_of_dataset,
    shell:
        "python -m carryover.stages.prepare_digits --code {params.code} --spec {params.spec:q}"
        " --images {output.images} 2> {log}"


rule prepare_download:
    input:
        raw=listing_of_dataset,
    output:
        images="results/data/{dataset}.safetensors",
    log:
        "results/data/{dataset}.log",
    wildcard_constraints:
        dataset=one_of(flow.datasets_from(*DOWNLOADED)),
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=4000,
    params:
        code=code("prepare_download"),
        spec=spec_of_dataset,
        classes=classes_of_dataset,
    shell:
        "python -m carryover.stages.prepare_download --code {params.code} --spec {params.spec:q}"
        " --raw {input.raw} --images {output.images} 2> {log}"


rule prepare_folder:
    output:
        images="results/data/{dataset}.safetensors",
    log:
        "results/data/{dataset}.log",
    wildcard_constraints:
        dataset=one_of(flow.datasets_from("folder")),
    conda:
        "../../envs/environment.yaml"
    resources:
        folder=folder_of_dataset,
        mem_mb=6000,
    params:
        code=code("prepare_folder"),
        spec=spec_of_dataset,
        classes=classes_of_dataset,
    shell:
        "python -m carryover.stages.prepare_folder --code {params.code} --spec {params.spec:q}"
        " --folder {resources.folder:q} --images {output.images} 2> {log}"


rule prepare_sinusoid:
    output:
        ranges="results/data/{dataset}.json",
    log:
        "results/data/{dataset}.log",
    wildcard_constraints:
        dataset=one_of(flow.datasets_from("sinusoid")),
    conda:
        "../../envs/environment.yaml"
    params:
        code=code("prepare_sinusoid"),
        spec=spec_of_dataset,
    shell:
        "python -m carryover.stages.prepare_sinusoid --code {params.code} --spec {params.spec:q}"
        " --ranges {output.ranges} 2> {log}"


rule index_imagenet:
    output:
        index="results/data/{dataset}.json",
    log:
        "results/data/{dataset}.log",
    wildcard_constraints:
        dataset=one_of(flow.datasets_from("imagenet")),
    conda:
        "../../envs/environment.yaml"
    resources:
        folder=folder_of_dataset,
    params:
        code=code("index_imagenet"),
        spec=spec_of_dataset,
    shell:
        "python -m carryover.stages.index_imagenet --code {params.code} --spec {params.spec:q}"
        " --folder {resources.folder:q} --index {output.index} 2> {log}"
