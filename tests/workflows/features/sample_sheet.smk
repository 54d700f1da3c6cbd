# Configuration: a sample sheet of pandas, validated against a schema, which lookup() asks

import pandas as pandas_of_sample_sheet
from snakemake.utils import validate

SHEET_OF_SAMPLE_SHEET = pandas_of_sample_sheet.read_csv(
    workflow.source_path("helpers/sheet.tsv"), sep="\t", dtype={"sample": str}
).set_index(["sample", "unit"], drop=False).sort_index()
validate(SHEET_OF_SAMPLE_SHEET, workflow.source_path("helpers/sheet.schema.yaml"))

def units_of_sample_sheet(wildcards):
    return expand("sample_sheet/trimmed/{u.sample}-{u.unit}.txt", u=SHEET_OF_SAMPLE_SHEET.loc[wildcards.sample].itertuples())

rule sample_sheet:
    input: expand("sample_sheet/merged/{sample}.txt", sample=SHEET_OF_SAMPLE_SHEET["sample"].unique())
rule sample_sheet_trim:
    input: lookup(query="sample == '{sample}' & unit == {unit}", within=SHEET_OF_SAMPLE_SHEET, cols="reads")
    output: "sample_sheet/trimmed/{sample}-{unit}.txt"
    params:
        condition=lookup(query="sample == '{sample}' & unit == {unit}", within=SHEET_OF_SAMPLE_SHEET, cols="condition")
    shell: "echo {params.condition} $(cat {input}) > {output}"
rule sample_sheet_merge:
    input: units_of_sample_sheet
    output: "sample_sheet/merged/{sample}.txt"
    shell: "cat {input} > {output}"
