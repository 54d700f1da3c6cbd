# Log files, written by the command, by standard error, and not at all

rule log:
    input: "log/x.txt", "log/y.txt"
rule log_write:
    output: "log/x.txt"
    log: out="log/logs/x.out", err="log/logs/x.err"
    shell: "echo x > {output}; echo said > {log.out}; echo wrong 2> {log.err} >&2"
rule log_never:
    output: "log/y.txt"
    log: "log/logs/y.txt"
    shell: "echo y > {output}"
