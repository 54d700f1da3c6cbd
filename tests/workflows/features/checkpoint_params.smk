# Checkpoints: a parameter that depends on one

rule checkpoint_params:
    input: "checkpoint_params/x.txt"
checkpoint checkpoint_params_count:
    output: "checkpoint_params/count"
    shell: "echo 7 > {output}"
def count_of_checkpoint_params(wildcards):
    with checkpoints.checkpoint_params_count.get().output[0].open() as f:
        return int(f.read())
rule checkpoint_params_use:
    input: "checkpoint_params/count"
    output: "checkpoint_params/x.txt"
    params: n=count_of_checkpoint_params
    shell: "echo {params.n} > {output}"
