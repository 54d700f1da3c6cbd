# Dependencies on rules: rules.x.output, named and whole

rule rule_dependency:
    input: "rule_dependency/all.txt"
rule rule_dependency_made:
    output: a="rule_dependency/{s}.a", b="rule_dependency/{s}.b"
    shell: "echo a > {output.a}; echo b > {output.b}"
rule rule_dependency_all:
    input: rules.rule_dependency_made.output, rules.rule_dependency_made.output.b
    output: "rule_dependency/{s}.txt"
    shell: "cat {input} > {output}"
