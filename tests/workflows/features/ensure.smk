# ensure(): not empty, and a checksum

rule ensure:
    input: "ensure/x.txt", "ensure/y.txt"
rule ensure_write:
    output: ensure("ensure/x.txt", non_empty=True), ensure("ensure/y.txt", md5="009520053b00386d1173f3988c55d192")
    shell: "echo x > {output[0]}; echo y > {output[1]}"
