# Semantic helpers: flatten()

rule flatten:
    input: "flatten/x.txt"
rule flatten_write:
    input: flatten(["in/a.txt", ["in/b.txt"]])
    output: "flatten/x.txt"
    shell: "cat {input} > {output}"
