# Software: conda: is ignored without --use-conda

rule conda_prefix_free:
    input: "conda_prefix_free/x.txt"
rule conda_prefix_free_write:
    output: "conda_prefix_free/x.txt"
    conda: "helpers/environment.yaml"
    shell: "echo x > {output}"
