# Rules: docstring and message

rule docstring_message:
    input: "docstring_message/x.txt"
rule docstring_message_write:
    """What the rule does."""
    output: "docstring_message/x.txt"
    message: "Writes {output} with {threads} thread."
    shell: "echo x > {output}"
