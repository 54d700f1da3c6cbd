# Checkpoints: temporary output that an input function reads

rule checkpoint_temp:
    input: "checkpoint_temp/agg/a.txt"
checkpoint checkpoint_temp_step:
    output: temp("checkpoint_temp/step/{s}.txt")
    shell: "echo {wildcards.s} > {output}"
rule checkpoint_temp_mid:
    input: "checkpoint_temp/step/{s}.txt"
    output: "checkpoint_temp/mid/{s}.txt"
    shell: "cat {input} > {output}"
def choice_of_checkpoint_temp(wildcards):
    with checkpoints.checkpoint_temp_step.get(s=wildcards.s).output[0].open() as f:
        return "checkpoint_temp/mid/{s}.txt" if f.read().strip() == "a" else []
rule checkpoint_temp_agg:
    input: choice_of_checkpoint_temp
    output: "checkpoint_temp/agg/{s}.txt"
    shell: "cat {input} > {output}"
