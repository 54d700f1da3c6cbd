# shadow: "shallow"

rule shadow_shallow:
    input: "shadow_shallow/x.txt"
rule shadow_shallow_write:
    input: "in/a.txt"
    output: "shadow_shallow/x.txt"
    shadow: "shallow"
    shell: "echo junk > junk.txt; cat {input} > {output}"
