# Checkpoints: what is to be done depends on what a job has found

rule checkpoint:
    input: "checkpoint/all.txt"
checkpoint checkpoint_split:
    output: directory("checkpoint/parts")
    shell: "mkdir {output}; for i in 1 2; do echo part $i > {output}/$i.txt; done"
rule checkpoint_each:
    input: "checkpoint/parts/{i}.txt"
    output: "checkpoint/each/{i}.txt"
    shell: "cat {input} > {output}"
def parts_of_checkpoint(wildcards):
    folder = checkpoints.checkpoint_split.get().output[0]
    return expand("checkpoint/each/{i}.txt", i=sorted(glob_wildcards(os.path.join(folder, "{i,[0-9]+}.txt")).i))
rule checkpoint_all:
    input: parts_of_checkpoint
    output: "checkpoint/all.txt"
    shell: "cat {input} > {output}"
