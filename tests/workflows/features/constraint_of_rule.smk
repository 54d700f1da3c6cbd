# Wildcards: wildcard_constraints of a rule

rule constraint_of_rule:
    input: "constraint_of_rule/x_y_z.txt"
rule constraint_of_rule_write:
    output: "constraint_of_rule/{a}_{b}.txt"
    wildcard_constraints: a="[^_]+"
    shell: "echo {wildcards.a} {wildcards.b} > {output}"
