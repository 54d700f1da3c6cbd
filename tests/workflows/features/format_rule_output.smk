# Paths made from rules.x.output, by format() and by adding to it

rule format_rule_output:
    input: "format_rule_output/all.txt"
rule format_rule_output_part:
    output: "format_rule_output/{sample}.txt"
    shell: "echo {wildcards.sample} > {output}"
rule format_rule_output_index:
    input: rules.format_rule_output_part.output
    output: rules.format_rule_output_part.output[0] + ".index"
    shell: "wc -c < {input} > {output}"
rule format_rule_output_all:
    input: rules.format_rule_output_part.output[0].format(sample="a"), "format_rule_output/b.txt.index"
    output: "format_rule_output/all.txt"
    shell: "cat {input} > {output}"
