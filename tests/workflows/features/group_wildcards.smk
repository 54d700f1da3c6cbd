# Groups: one for each sample, and run: in it

rule group_wildcards:
    input: "group_wildcards/a.two", "group_wildcards/b.two"
rule group_wildcards_one:
    input: "in/{s}.txt"
    output: "group_wildcards/{s}.one"
    group: "group_{s}"
    shell: "cat {input} > {output}"
rule group_wildcards_two:
    input: "group_wildcards/{s}.one"
    output: "group_wildcards/{s}.two"
    group: "group_{s}"
    run:
        with open(input[0]) as source, open(output[0], "w") as target:
            target.write(source.read()[::-1])
