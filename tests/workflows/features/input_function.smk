# Input functions: of wildcards, lists, mappings by unpack(), paths

from pathlib import Path as PathOfInputFunction
def files_of_input_function(wildcards):
    return {"one": f"in/{wildcards.s}.txt", "more": ["in/b.txt", "in/nested/c.txt"]}
rule input_function:
    input: "input_function/a.txt", "input_function/b.list"
rule input_function_unpack:
    input: unpack(files_of_input_function)
    output: "input_function/{s}.txt"
    shell: "cat {input.one} {input.more} > {output}"
rule input_function_list:
    input: lambda wildcards: [PathOfInputFunction("in") / f"{s}.txt" for s in ("a", wildcards.s)]
    output: "input_function/{s}.list"
    shell: "cat {input} > {output}"
