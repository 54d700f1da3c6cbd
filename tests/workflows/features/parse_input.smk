# Semantic helpers: parse_input() reads an input for a parameter

rule parse_input:
    input: "parse_input/x.txt"
rule parse_input_made:
    output: "parse_input/number"
    shell: "echo 42 > {output}"
rule parse_input_write:
    input: "parse_input/number"
    output: "parse_input/x.txt"
    params: n=parse_input(input[0], parser=lambda text: int(text.read()) + 1)
    shell: "echo {params.n} > {output}"
