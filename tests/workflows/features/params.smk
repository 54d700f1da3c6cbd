# Parameters: values, lists, functions of wildcards, input, output, threads, resources

rule params:
    input: "params/x.txt"
rule params_write:
    input: "in/a.txt"
    output: "params/{s}.txt"
    threads: 2
    resources: foo=3
    params:
        "positional",
        text="{s} and 'quotes' \" $HOME",
        words=["a b", 1],
        mapping={"key": "value"},
        of_wildcards=lambda wildcards: wildcards.s * 2,
        of_all=lambda wildcards, input, output, threads, resources: f"{len(input)} {len(output)} {threads} {resources.foo}"
    shell: "printf '%s|' {params[0]} {params.text:q} {params.words:q} {params.mapping[key]} {params.of_wildcards} '{params.of_all}' > {output}"
