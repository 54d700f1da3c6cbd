# run: several shell() calls that yield lines

rule shell_in_loop:
    input: "shell_in_loop/x.txt"
rule shell_in_loop_write:
    input: "in/a.txt", "in/b.txt"
    output: "shell_in_loop/x.txt"
    run:
        lines = [line for name in input for line in shell("cat {name}", iterable=True)]
        with open(output[0], "w") as f:
            f.write("+".join(lines))
