# Input functions: sizes of input for params and threads

rule input_size:
    input: "input_size/x.txt"
rule input_size_made:
    output: "input_size/made"
    shell: "head -c 2000 /dev/zero > {output}"
rule input_size_write:
    input: "input_size/made", "in/a.txt"
    output: "input_size/x.txt"
    params: size=lambda wildcards, input: input.size, files=lambda wildcards, input: input.size_files
    shell: "echo {params.size} {params.files} > {output}"
