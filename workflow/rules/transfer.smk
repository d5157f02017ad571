# Learning transfer: one rule for each kind of run. What a block reads of other runs is `flow.transfer.needs`.

# kind -> what it reads of other runs, and what it writes beside metrics and manifest
PARTS = {
    "trainings": (["start"], {"trajectory": directory}),
    "transfers": (["source", "target"], {"nets": str}),
    "continuations": (["transfer"], {"nets": str}),
    "cosines": (["source", "target"], {}),
    "synced": (["source", "target"], {}),
    "landscapes": (["source", "target", "transfer", "continuation"], {}),
    "ensembles": (["continuation", "target"], {}),
}
PLACE = "results/{study}/transfer/"
FILES = {"trajectory": "trajectory", "nets": "nets.safetensors"}

for kind, (parts, extra) in PARTS.items() if flow.transfer else ():

    rule:
        name:
            KINDS[kind].stage
        input:
            **{part: need_of_kind(flow.transfer, kind, part) for part in parts},
            images=images_of_kind(flow.transfer, kind),
        output:
            **{name: mark(f"{PLACE}{kind}/{{run}}/{{block}}/{FILES[name]}") for name, mark in extra.items()},
            metrics=f"{PLACE}{kind}/{{run}}/{{block}}/metrics.csv",
            manifest=f"{PLACE}{kind}/{{run}}/{{block}}/manifest.json",
        log:
            f"{PLACE}{kind}/{{run}}/{{block}}/log.txt",
        wildcard_constraints:
            run=one_of(flow.transfer.runs[kind]),
            block=r"(source|target|pairs)\d+(-\d+)?|all",
        retries: flow.transfer.retries[kind]
        conda:
            "../../envs/environment.yaml"
        threads: job_of_kind(flow.transfer, kind, "cpus")
        resources:
            mem_mb=memory_of_kind(flow.transfer, kind),
            runtime=job_of_kind(flow.transfer, kind, "minutes"),
            gpu=gpus_of_kind(flow.transfer, kind),
            cpus_per_task=job_of_kind(flow.transfer, kind, "cpus"),
            device=flow.config.device,
        params:
            stage=KINDS[kind].stage,
            code=code(KINDS[kind].stage),
            spec=spec_of_kind(flow.transfer, kind),
            seeds=block_of,
            parts=lambda wildcards, input, parts=parts: " ".join(
                f"--{part} {' '.join(input.get(part))}" for part in parts if input.get(part)
            ),
            extra=lambda wildcards, output, extra=extra: " ".join(
                f"--{name} {output.get(name)}" for name in extra
            ),
        shell:
            "python -m carryover.stages.{params.stage}"
            " --code {params.code} --spec {params.spec:q} --seeds {params.seeds}"
            " --device {resources.device} --threads {resources.cpus_per_task} --minutes {resources.runtime}"
            " --work results/{wildcards.study}/.work/transfer"
            " --images {input.images} {params.parts}"
            " --metrics {output.metrics} {params.extra} --manifest {output.manifest} 2> {log}"


if flow.transfer and flow.transfer.section.theory:

    rule transfer_theory:
        output:
            table=f"{PLACE}theory/theory.csv",
            manifest=f"{PLACE}theory/manifest.json",
        log:
            f"{PLACE}theory/log.txt",
        conda:
            "../../envs/environment.yaml"
        params:
            code=code("transfer_theory"),
            spec=canonical(flow.transfer.section.theory),
        shell:
            "python -m carryover.stages.transfer_theory --code {params.code} --spec {params.spec:q}"
            " --table {output.table} --manifest {output.manifest} 2> {log}"


rule transfer_figure:
    input:
        results=lambda wildcards: flow.transfer.figure_results(wildcards.figure),
    output:
        pdf="results/{study}/figures/transfer/{figure}.pdf",
        png=report(
            "results/{study}/figures/transfer/{figure}.png",
            caption="../report/transfer_figure.rst",
            category="Learning transfer",
            subcategory="Figures",
            labels={"shows": "{figure}", "as": "figure"},
        ),
        table=report(
            "results/{study}/figures/transfer/{figure}.csv",
            caption="../report/transfer_figure.rst",
            category="Learning transfer",
            subcategory="Tables of the figures",
            labels={"shows": "{figure}", "as": "table"},
        ),
    log:
        "results/{study}/figures/transfer/{figure}.log",
    wildcard_constraints:
        figure=one_of(flow.transfer.section.figures if flow.transfer else ()),
    conda:
        "../../envs/environment.yaml"
    params:
        code=code("transfer_figure"),
        spec=lambda wildcards: flow.transfer.figure_spec(wildcards.figure),
    shell:
        "python -m carryover.stages.transfer_figure --code {params.code} --spec {params.spec:q}"
        " --results {input.results} --pdf {output.pdf} --png {output.png} --table {output.table} 2> {log}"


rule transfer_theory_figure:
    input:
        theory="results/{study}/transfer/theory/theory.csv",
        manifest="results/{study}/transfer/theory/manifest.json",
    output:
        pdf="results/{study}/figures/transfer/theory.pdf",
        png=report(
            "results/{study}/figures/transfer/theory.png",
            caption="../report/transfer_theory_figure.rst",
            category="Learning transfer",
            subcategory="Figures",
            labels={"shows": "theory", "as": "figure"},
        ),
        table=report(
            "results/{study}/figures/transfer/theory.csv",
            caption="../report/transfer_theory_figure.rst",
            category="Learning transfer",
            subcategory="Tables of the figures",
            labels={"shows": "theory", "as": "table"},
        ),
    log:
        "results/{study}/figures/transfer/theory.log",
    conda:
        "../../envs/environment.yaml"
    params:
        code=code("transfer_theory_figure"),
    shell:
        "python -m carryover.stages.transfer_theory_figure --code {params.code} --theory {input.theory}"
        " --manifest {input.manifest} --pdf {output.pdf} --png {output.png} --table {output.table} 2> {log}"


rule transfer_table:
    input:
        results=flow.transfer.every_result if flow.transfer else [],
    output:
        table=report(
            "results/{study}/transfer/table.csv",
            caption="../report/transfer_table.rst",
            category="Learning transfer",
            subcategory="Tables",
            labels={"shows": "every measurement", "as": "table"},
        ),
    log:
        "results/{study}/transfer/table.log",
    conda:
        "../../envs/environment.yaml"
    params:
        code=code("transfer_table"),
    shell:
        "python -m carryover.stages.transfer_table --code {params.code}"
        " --results {input.results} --table {output.table} 2> {log}"


rule transfer_claims:
    input:
        results=flow.transfer.every_result if flow.transfer else [],
    output:
        claims=report(
            "results/{study}/transfer/claims.csv",
            caption="../report/transfer_claims.rst",
            category="Learning transfer",
            subcategory="Tables",
            labels={"shows": "claims", "as": "table"},
        ),
        pdf="results/{study}/figures/transfer/claims.pdf",
        png=report(
            "results/{study}/figures/transfer/claims.png",
            caption="../report/transfer_claims.rst",
            category="Learning transfer",
            subcategory="Figures",
            labels={"shows": "claims", "as": "figure"},
        ),
    log:
        "results/{study}/transfer/claims.log",
    conda:
        "../../envs/environment.yaml"
    params:
        code=code("transfer_claims"),
    shell:
        "python -m carryover.stages.transfer_claims --code {params.code}"
        " --results {input.results} --claims {output.claims} --pdf {output.pdf} --png {output.png} 2> {log}"
