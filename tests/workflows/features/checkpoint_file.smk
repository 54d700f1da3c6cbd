# Checkpoints: an input function that reads a file

rule checkpoint_file:
    input: "checkpoint_file/a.txt", "checkpoint_file/b.txt"
checkpoint checkpoint_file_choose:
    output: "checkpoint_file/{s}.choice"
    shell: "echo {wildcards.s} > {output}"
rule checkpoint_file_mid:
    input: "in/{s}.txt"
    output: "checkpoint_file/{s}.mid"
    shell: "cat {input} > {output}"
def choice_of_checkpoint_file(wildcards):
    with checkpoints.checkpoint_file_choose.get(s=wildcards.s).output[0].open() as f:
        return "checkpoint_file/a.mid" if f.read().strip() == "a" else "in/b.txt"
rule checkpoint_file_use:
    input: choice_of_checkpoint_file
    output: "checkpoint_file/{s}.txt"
    shell: "cat {input} > {output}"
