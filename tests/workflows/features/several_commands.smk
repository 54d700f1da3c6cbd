# Rules: a multi-line shell command with quotes and braces

rule several_commands:
    input: "several_commands/x.txt"
rule several_commands_write:
    output: "several_commands/x.txt"
    shell:
        """
        for word in 'one two' "three $((1 + 3))"; do
            echo "$word" | awk '{{print NF ": " $0}}' >> {output}
        done
        """
