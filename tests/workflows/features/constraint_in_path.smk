# Wildcards: a constraint in the path

rule constraint_in_path:
    input: "constraint_in_path/a_b_3.txt"
rule constraint_in_path_write:
    output: "constraint_in_path/{name}_{n,[0-9]+}.txt"
    shell: "echo {wildcards.name} {wildcards.n} > {output}"
