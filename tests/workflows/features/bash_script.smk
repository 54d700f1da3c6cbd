# External scripts: bash

rule bash_script:
    input: "bash_script/x.txt"
rule bash_script_write:
    input: "in/a.txt"
    output: "bash_script/{s}.txt"
    params: text="a b"
    script: "helpers/script.sh"
