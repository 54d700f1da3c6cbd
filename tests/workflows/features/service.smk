# service(): a job that others need while they run

rule service:
    input: "service/out.txt"
rule service_serve:
    output: service("service/socket")
    shell: "echo served > {output}; sleep 100"
rule service_use:
    input: "service/socket"
    output: "service/out.txt"
    shell: "cat {input} > {output}"
