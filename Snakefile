from pathlib import Path

from snakemake.exceptions import WorkflowError

from carryover.problems import ConfigError
from carryover.workflow import load_workflow


configfile: "config.yaml"


try:
    flow = load_workflow(config, Path(workflow.basedir))
except ConfigError as error:
    raise WorkflowError(str(error)) from None


resource_scopes:
    gpu="local",


wildcard_constraints:
    study=flow.name,
    block=r"s\d+(-\d+)?",


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/iterand.smk"
include: "workflow/rules/figures.smk"


localrules:
    all_figures,
    fetch_images,


rule all_figures:
    default_target: True
    input:
        flow.targets(),
