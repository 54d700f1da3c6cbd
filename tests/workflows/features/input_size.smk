# Input functions: sizes of input for params, threads and resources, also of input that is made first

rule input_size:
    input: "input_size/x.txt"
rule input_size_made:
    output: "input_size/made"
    shell: "head -c 2000 /dev/zero > {output}"
rule input_size_write:
    input: "input_size/made", "in/a.txt"
    output: "input_size/x.txt"
    params: size=lambda wildcards, input: input.size, files=lambda wildcards, input: input.size_files
    threads: lambda wildcards, input: 2 if input.size > 2000 else 1
    resources:
        mem_mb=lambda wildcards, input, attempt: max(300, int(input.size_mb * 3)) * attempt,
        runtime=lambda wildcards, input: f"{len(input)}h",
        az_vm_size=lambda wildcards, input: "" if input.size > 2000 else "Standard_None"
    shell: "echo {params.size} {params.files} {threads} {resources.mem_mb} {resources.runtime} > {output}"
