# expand() over rules.x.output

rule expand_rule_output:
    input: "expand_rule_output/all.txt"
rule expand_rule_output_part:
    output: "expand_rule_output/{sample}.txt"
    shell: "echo {wildcards.sample} > {output}"
rule expand_rule_output_all:
    input: expand(rules.expand_rule_output_part.output, sample=["a", "b"])
    output: "expand_rule_output/all.txt"
    shell: "cat {input} > {output}"
