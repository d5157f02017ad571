# Few-shot learning: one rule for each kind of run. What a block reads of other runs is `flow.metaticket.needs`.

# kind -> what it reads of other runs, and what it writes beside metrics and manifest
FEWSHOT_PARTS = {
    "trainings": ("start", ["nets"]),
    "tests": ("training", ["tasks"]),
    "analyses": ("training", []),
}
FEWSHOT = "results/{study}/metaticket/"


rule sample_episodes:
    input:
        images=lambda wildcards: flow.images(wildcards.dataset),
    output:
        episodes="results/data/episodes/{dataset}/{episodes}.safetensors",
    log:
        "results/data/episodes/{dataset}/{episodes}.log",
    wildcard_constraints:
        episodes=r"(train|val|test)-\d+w\d+s\d+q-\d+",
    conda:
        "../../envs/environment.yaml"
    params:
        code=code("sample_episodes"),
        spec=lambda wildcards, output: flow.metaticket.stored[output.episodes],
    shell:
        "python -m carryover.stages.sample_episodes --code {params.code} --spec {params.spec:q}"
        " --images {input.images} --episodes {output.episodes} 2> {log}"


for kind, (part, extra) in FEWSHOT_PARTS.items() if flow.metaticket else ():

    rule:
        name:
            FEWSHOT_KINDS[kind].stage
        input:
            **{part: need_of_kind(flow.metaticket, kind, part)},
            images=images_of_kind(flow.metaticket, kind),
            episodes=episodes_of_kind(flow.metaticket, kind),
        output:
            **{name: f"{FEWSHOT}{kind}/{{run}}/{{block}}/{name}.safetensors" for name in extra},
            metrics=f"{FEWSHOT}{kind}/{{run}}/{{block}}/metrics.csv",
            manifest=f"{FEWSHOT}{kind}/{{run}}/{{block}}/manifest.json",
        log:
            f"{FEWSHOT}{kind}/{{run}}/{{block}}/log.txt",
        wildcard_constraints:
            run=one_of(flow.metaticket.runs[kind]),
        retries: flow.metaticket.retries[kind]
        conda:
            "../../envs/environment.yaml"
        threads: job_of_kind(flow.metaticket, kind, "cpus")
        resources:
            mem_mb=memory_of_kind(flow.metaticket, kind),
            runtime=job_of_kind(flow.metaticket, kind, "minutes"),
            gpu=gpus_of_kind(flow.metaticket, kind),
            cpus_per_task=job_of_kind(flow.metaticket, kind, "cpus"),
            device=flow.config.device,
        params:
            stage=FEWSHOT_KINDS[kind].stage,
            code=code(FEWSHOT_KINDS[kind].stage),
            spec=spec_of_kind(flow.metaticket, kind),
            seeds=block_of,
            parts=lambda wildcards, input, part=part: (
                f"--{part} {input.get(part)}" if input.get(part) else ""
            ),
            extra=lambda wildcards, output, extra=extra: " ".join(
                f"--{name} {output.get(name)}" for name in extra
            ),
        shell:
            "python -m carryover.stages.{params.stage}"
            " --code {params.code} --spec {params.spec:q} --seeds {params.seeds}"
            " --device {resources.device} --threads {resources.cpus_per_task} --minutes {resources.runtime}"
            " --work results/{wildcards.study}/.work/metaticket"
            " --images {input.images} --episodes {input.episodes} {params.parts}"
            " --metrics {output.metrics} {params.extra} --manifest {output.manifest} 2> {log}"


rule metaticket_figure:
    input:
        results=lambda wildcards: flow.metaticket.figure_results(wildcards.figure),
    output:
        pdf="results/{study}/figures/metaticket/{figure}.pdf",
        png=report(
            "results/{study}/figures/metaticket/{figure}.png",
            caption="../report/metaticket_figure.rst",
            category="Meta-ticket",
            subcategory="Figures",
            labels={"shows": "{figure}", "as": "figure"},
        ),
        table=report(
            "results/{study}/figures/metaticket/{figure}.csv",
            caption="../report/metaticket_figure.rst",
            category="Meta-ticket",
            subcategory="Tables of the figures",
            labels={"shows": "{figure}", "as": "table"},
        ),
    log:
        "results/{study}/figures/metaticket/{figure}.log",
    wildcard_constraints:
        figure=one_of(flow.metaticket.section.figures if flow.metaticket else ()),
    conda:
        "../../envs/environment.yaml"
    params:
        code=code("metaticket_figure"),
        spec=lambda wildcards: flow.metaticket.figure_spec(wildcards.figure),
    shell:
        "python -m carryover.stages.metaticket_figure --code {params.code} --spec {params.spec:q}"
        " --results {input.results} --pdf {output.pdf} --png {output.png} --table {output.table} 2> {log}"


rule metaticket_table:
    input:
        results=flow.metaticket.every_result if flow.metaticket else [],
    output:
        table=report(
            "results/{study}/metaticket/table.csv",
            caption="../report/metaticket_table.rst",
            category="Meta-ticket",
            subcategory="Tables",
            labels={"shows": "every measurement", "as": "table"},
        ),
    log:
        "results/{study}/metaticket/table.log",
    conda:
        "../../envs/environment.yaml"
    params:
        code=code("metaticket_table"),
    shell:
        "python -m carryover.stages.metaticket_table --code {params.code}"
        " --results {input.results} --table {output.table} 2> {log}"


rule metaticket_claims:
    input:
        results=flow.metaticket.every_result if flow.metaticket else [],
    output:
        claims=report(
            "results/{study}/metaticket/claims.csv",
            caption="../report/metaticket_claims.rst",
            category="Meta-ticket",
            subcategory="Tables",
            labels={"shows": "claims", "as": "table"},
        ),
        pdf="results/{study}/figures/metaticket/claims.pdf",
        png=report(
            "results/{study}/figures/metaticket/claims.png",
            caption="../report/metaticket_claims.rst",
            category="Meta-ticket",
            subcategory="Figures",
            labels={"shows": "claims", "as": "figure"},
        ),
    log:
        "results/{study}/metaticket/claims.log",
    conda:
        "../../envs/environment.yaml"
    params:
        code=code("metaticket_claims"),
    shell:
        "python -m carryover.stages.metaticket_claims --code {params.code}"
        " --results {input.results} --claims {output.claims} --pdf {output.pdf} --png {output.png} 2> {log}"
