# Semantic helpers: collect()

rule collect:
    input: "collect/all.txt"
rule collect_part:
    output: "collect/{x}{y}.txt"
    shell: "echo {wildcards} > {output}"
rule collect_all:
    input: collect("collect/{x}{y}.txt", x=["a", "b"], y=[1, 2])
    output: "collect/all.txt"
    shell: "cat {input} > {output}"
