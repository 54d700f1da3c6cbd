# External scripts: Python

rule script:
    input: "script/x.txt"
rule script_write:
    input: named="in/a.txt"
    output: "script/{s}.txt"
    log: "script/{s}.log"
    params: numbers=[1, 2], text="t"
    threads: 2
    resources: foo="bar"
    script: "helpers/script.py"
