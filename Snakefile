import re
import sys
from pathlib import Path
from typing import get_args

from snakemake.exceptions import WorkflowError

from carryover.core.config import canonical
from carryover.data.settings import RawSettings
from carryover.iterand.settings import METHODS
from carryover.metaticket.settings import KINDS as FEWSHOT_KINDS
from carryover.problems import ConfigError
from carryover.transfer.settings import KINDS
from carryover.workflow import load_workflow

DOWNLOADED = get_args(RawSettings.model_fields["source"].annotation)


# rules run `python`: that of this environment, also when it was not activated
shell.prefix(f'command -v carryover > /dev/null || export PATH="{Path(sys.executable).parent}:$PATH"; ')


configfile: "config.yaml"


try:
    flow = load_workflow(config, Path(workflow.basedir))
except ConfigError as error:
    raise WorkflowError(str(error)) from None


resource_scopes:
    gpu="local",


wildcard_constraints:
    study=flow.name,
    block=r"s\d+(-\d+)?|(source|target|pairs)\d+(-\d+)?|all",


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/iterand.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/transfer.smk"
include: "workflow/rules/metaticket.smk"


localrules:
    all_figures,
    fetch_images,


rule all_figures:
    default_target: True
    input:
        flow.targets(),
