# Environment variables: envvars:

envvars:
    "WORKFLOWS_WORD"
rule envvars:
    input: "envvars/x.txt"
rule envvars_write:
    output: "envvars/x.txt"
    shell: "echo $WORKFLOWS_WORD > {output}"
