# Parameter space exploration: a table of pandas, in paths and params

import pandas as pandas_of_paramspace
from snakemake.utils import Paramspace

SPACE_OF_PARAMSPACE = Paramspace(
    pandas_of_paramspace.read_csv(workflow.source_path("helpers/space.tsv"), sep="\t"), param_sep="~", filename_params="*"
)
rule paramspace:
    input: "paramspace/all.txt"
rule paramspace_simulate:
    input: "in/a.txt"
    output: f"paramspace/{SPACE_OF_PARAMSPACE.wildcard_pattern}.txt"
    params: simulation=SPACE_OF_PARAMSPACE.instance
    script: "helpers/simulate.py"
rule paramspace_gather:
    input: expand("paramspace/{instance}.txt", instance=SPACE_OF_PARAMSPACE.instance_patterns)
    output: "paramspace/all.txt"
    shell: "cat {input} > {output}"
