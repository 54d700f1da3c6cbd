# handover: a job that has all cores

rule handover:
    input: "handover/x.txt"
rule handover_write:
    output: "handover/x.txt"
    handover: True
    shell: "echo x > {output}"
