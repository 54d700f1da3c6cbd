# workflow.source_path() for files beside the Snakefile

rule source_path:
    input: "source_path/x.txt"
rule source_path_write:
    output: "source_path/x.txt"
    params: table=workflow.source_path("helpers/samples.tsv")
    shell: "sort {params.table} > {output}"
