# Rules without output files beside those that have some

rule no_output:
    input: "no_output/x.txt"
rule no_output_write:
    output: "no_output/x.txt"
    log: "no_output/log.txt"
    shell: "echo said | tee {log} > {output}"
