# Figures and tables. Each figure depends on its own runs only, so that one can be made without the others.


report: "../report/overview.rst"


rule iterand_figure:
    input:
        results=results_of_figure,
    output:
        pdf="results/{study}/figures/iterand/{figure}.pdf",
        png=report(
            "results/{study}/figures/iterand/{figure}.png",
            caption="../report/iterand_figure.rst",
            category="IteRand",
            subcategory="Figures",
            labels={"shows": "{figure}", "as": "figure"},
        ),
        table=report(
            "results/{study}/figures/iterand/{figure}.csv",
            caption="../report/iterand_figure.rst",
            category="IteRand",
            subcategory="Tables of the figures",
            labels={"shows": "{figure}", "as": "table"},
        ),
    log:
        "results/{study}/figures/iterand/{figure}.log",
    wildcard_constraints:
        figure=one_of(flow.figures),
    conda:
        "../../envs/environment.yaml"
    params:
        code=code("iterand_figure"),
        spec=spec_of_figure,
    shell:
        "python -m carryover.stages.iterand_figure --code {params.code} --spec {params.spec:q}"
        " --results {input.results} --pdf {output.pdf} --png {output.png} --table {output.table} 2> {log}"


rule iterand_theory_figure:
    input:
        miss="results/{study}/iterand/theory/miss.csv",
        width="results/{study}/iterand/theory/width.csv",
        subset_sum="results/{study}/iterand/theory/subset_sum.csv",
        network="results/{study}/iterand/theory/network.csv",
        manifest="results/{study}/iterand/theory/manifest.json",
    output:
        pdf="results/{study}/figures/iterand/theory.pdf",
        png=report(
            "results/{study}/figures/iterand/theory.png",
            caption="../report/iterand_theory_figure.rst",
            category="IteRand",
            subcategory="Figures",
            labels={"shows": "theory", "as": "figure"},
        ),
        table=report(
            "results/{study}/figures/iterand/theory.csv",
            caption="../report/iterand_theory_figure.rst",
            category="IteRand",
            subcategory="Tables of the figures",
            labels={"shows": "theory", "as": "table"},
        ),
    log:
        "results/{study}/figures/iterand/theory.log",
    conda:
        "../../envs/environment.yaml"
    params:
        code=code("iterand_theory_figure"),
    shell:
        "python -m carryover.stages.iterand_theory_figure --code {params.code}"
        " --miss {input.miss} --width {input.width} --subset_sum {input.subset_sum} --network {input.network}"
        " --manifest {input.manifest} --pdf {output.pdf} --png {output.png} --table {output.table} 2> {log}"


rule iterand_table:
    input:
        results=flow.results(list(flow.runs)),
    output:
        table=report(
            "results/{study}/iterand/table.csv",
            caption="../report/iterand_table.rst",
            category="IteRand",
            subcategory="Tables",
            labels={"shows": "every run and seed", "as": "table"},
        ),
    log:
        "results/{study}/iterand/table.log",
    conda:
        "../../envs/environment.yaml"
    params:
        code=code("iterand_table"),
    shell:
        "python -m carryover.stages.iterand_table --code {params.code}"
        " --results {input.results} --table {output.table} 2> {log}"


rule iterand_claims:
    input:
        table="results/{study}/iterand/table.csv",
    output:
        claims=report(
            "results/{study}/iterand/claims.csv",
            caption="../report/iterand_claims.rst",
            category="IteRand",
            subcategory="Tables",
            labels={"shows": "claims", "as": "table"},
        ),
        pdf="results/{study}/figures/iterand/claims.pdf",
        png=report(
            "results/{study}/figures/iterand/claims.png",
            caption="../report/iterand_claims.rst",
            category="IteRand",
            subcategory="Figures",
            labels={"shows": "claims", "as": "figure"},
        ),
    log:
        "results/{study}/iterand/claims.log",
    conda:
        "../../envs/environment.yaml"
    params:
        code=code("iterand_claims"),
    shell:
        "python -m carryover.stages.iterand_claims --code {params.code}"
        " --table {input.table} --claims {output.claims} --pdf {output.pdf} --png {output.png} 2> {log}"
