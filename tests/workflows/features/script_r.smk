# External scripts: R
# needs: Rscript

rule script_r:
    input: "script_r/x.txt"
rule script_r_write:
    input: named="in/a.txt"
    output: "script_r/{s}.txt"
    params: numbers=[1, 2], text="t", nested={"a": True}
    threads: 2
    script: "helpers/script.R"
