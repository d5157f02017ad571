# From files to one safetensors file of uint8 images per data set; all studies share them.

rule prepare_digits:
    output:
        images="results/data/{dataset}.safetensors",
    log:
        "results/data/{dataset}.log",
    conda:
        "../../envs/environment.yaml"
    wildcard_constraints:
        dataset=one_of(flow.datasets_from("digits")),
    params:
        code=code("prepare_digits"),
        spec=spec_of_dataset,
    shell:
        "python -m carryover.stages.prepare_digits --dataset {wildcards.dataset}"
