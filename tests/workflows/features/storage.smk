# storage(): a query beside the default storage's paths

rule storage:
    input: "storage/x.txt"
rule storage_write:
    input: in_storage("in/a.txt")
    output: "storage/x.txt"
    shell: "cat {input} > {output}"
