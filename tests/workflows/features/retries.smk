# Retries with more resources

rule retries:
    input: "retries/x.txt"
rule retries_write:
    output: "retries/x.txt"
    retries: 2
    resources: n=lambda wildcards, attempt: attempt * 10
    shell: "test {resources.n} = 20 && echo {resources.n} > {output}"
