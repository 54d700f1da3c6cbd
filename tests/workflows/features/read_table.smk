# Configuration: a table that the Snakefile reads

import csv as csv_of_read_table
with open(workflow.source_path("helpers/samples.tsv")) as samples_of_read_table:
    SAMPLES_OF_READ_TABLE = {row["sample"]: row["value"] for row in csv_of_read_table.DictReader(samples_of_read_table, delimiter="\t")}
rule read_table:
    input: expand("read_table/{s}.txt", s=SAMPLES_OF_READ_TABLE)
rule read_table_write:
    output: "read_table/{s}.txt"
    params: value=lambda wildcards: SAMPLES_OF_READ_TABLE[wildcards.s]
    shell: "echo {params.value} > {output}"
