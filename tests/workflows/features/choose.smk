# Semantic helpers: a function of input that nests another

def outer_of_choose(wildcards):
    return lambda wildcards: f"in/{wildcards.s}.txt"
rule choose:
    input: "choose/a.txt"
rule choose_write:
    input: outer_of_choose
    output: "choose/{s}.txt"
    shell: "cat {input} > {output}"
