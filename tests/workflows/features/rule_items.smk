# Semantic helpers: items of the rule in its params

rule rule_items:
    input: "rule_items/x.txt"
rule rule_items_write:
    input: a="in/a.txt"
    output: "rule_items/x.txt"
    threads: 2
    resources: tag="t"
    params: tag=resources.tag, n=threads
    shell: "echo {params.tag} {params.n} > {output}"
