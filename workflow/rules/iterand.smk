# IteRand's trainings: one rule per method, so that a change of the redraw leaves the other methods alone.

for method, settings in METHODS.items():

    rule:
        name:
            settings.stage
        input:
            images=images_of_run,
        output:
            metrics="results/{study}/iterand/{run}/{block}/metrics.csv",
            nets="results/{study}/iterand/{run}/{block}/nets.safetensors",
            manifest="results/{study}/iterand/{run}/{block}/manifest.json",
        log:
            "results/{study}/iterand/{run}/{block}/train.log",
        wildcard_constraints:
            run=rf"[^/]+-{method}(-[^/]+)?",
        retries: flow.retries
        conda:
            "../../envs/environment.yaml"
        threads: cpus
        resources:
            mem_mb=memory,
            runtime=minutes,
            gpu=gpus,
            cpus_per_task=cpus,
            device=flow.config.device,
        params:
            stage=settings.stage,
            code=code(settings.stage),
            spec=spec_of_run,
            seeds=block_of,
        shell:
            "python -m carryover.stages.{params.stage}"
            " --code {params.code} --spec {params.spec:q} --seeds {params.seeds}"
            " --device {resources.device} --threads {resources.cpus_per_task} --minutes {resources.runtime}"
            " --work results/{wildcards.study}/.work"
            " --images {input.images}"
            " --metrics {output.metrics} --nets {output.nets} --manifest {output.manifest} 2> {log}"


if flow.study.iterand and flow.study.iterand.theory:

    rule iterand_theory:
        output:
            miss="results/{study}/iterand/theory/miss.csv",
            width="results/{study}/iterand/theory/width.csv",
            subset_sum="results/{study}/iterand/theory/subset_sum.csv",
            network="results/{study}/iterand/theory/network.csv",
            manifest="results/{study}/iterand/theory/manifest.json",
        log:
            "results/{study}/iterand/theory/theory.log",
        conda:
            "../../envs/environment.yaml"
        params:
            code=code("iterand_theory"),
            spec=canonical(flow.study.iterand.theory),
        shell:
            "python -m carryover.stages.iterand_theory --code {params.code} --spec {params.spec:q}"
            " --miss {output.miss} --width {output.width} --subset-sum {output.subset_sum}"
            " --network {output.network} --manifest {output.manifest} 2> {log}"
