# Checkpoints: files below the directory that a checkpoint has made

rule checkpoint_inside:
    input: "checkpoint_inside/all.txt"
checkpoint checkpoint_inside_make:
    output: directory("checkpoint_inside/made")
    shell: "mkdir -p {output}/deep; echo 1 > {output}/one.txt; echo 2 > {output}/deep/two.txt"
def files_of_checkpoint_inside(wildcards):
    folder = checkpoints.checkpoint_inside_make.get().output[0]
    return [f"{folder}/one.txt", os.path.join(folder, "deep", "two.txt")]
rule checkpoint_inside_all:
    input: files_of_checkpoint_inside
    output: "checkpoint_inside/all.txt"
    shell: "cat {input} > {output}"
