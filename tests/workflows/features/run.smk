# run: Python in the rule

rule run:
    input: "run/a.txt"
rule run_write:
    input: "in/{s}.txt"
    output: "run/{s}.txt"
    params: factor=3
    run:
        with open(input[0]) as source, open(output[0], "w") as target:
            target.write(source.read() * params.factor)
        shell("echo {wildcards.s} {threads} >> {output}")
