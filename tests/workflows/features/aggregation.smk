# Aggregation: a rule over all samples

SAMPLES_OF_AGGREGATION = ["a", "b"]
rule aggregation:
    input: "aggregation/all.txt"
rule aggregation_sample:
    input: "in/{sample}.txt"
    output: "aggregation/{sample}.txt"
    shell: "wc -c < {input} > {output}"
rule aggregation_all:
    input: expand("aggregation/{sample}.txt", sample=SAMPLES_OF_AGGREGATION)
    output: "aggregation/all.txt"
    shell: "cat {input} > {output}"
